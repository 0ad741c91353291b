import assert from "node:assert/strict";
import { shell } from "../support/shell.ts";
import { withLiveSite } from "../support/live_site.ts";

const KINDS = {
  rsa: ["rsa:2048"],
  p384: ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
  p521: ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
};

for (const [name, kind] of Object.entries(KINDS)) {
  Deno.test(`devices connect with certificates of the operator's own authority: ${name}`, async () => {
    await withLiveSite(async (site) => {
      const run = async (...args: string[]) => {
        const { code, stderr } = await shell([...args, "--dir", site.layout.directory]);
        assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
      };
      const { certificate, key } = site.layout.deviceCa;
      const made = await new Deno.Command("openssl", {
        args: [
          ...["req", "-x509", "-nodes", "-subj", "/CN=Own", "-days", "90", "-newkey", ...kind],
          ...["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", key],
          ...["-out", certificate],
        ],
      }).output();
      assert.ok(made.success);
      await run("device", "add", "first", "--key-type", "rsa");
      await run("device", "add", "second");
      // Writes the new authority's revocation list, and has the broker read it.
      await run("device", "restore", "first");
      const doctor = await shell(["doctor", "--offline", "--json", "--dir", site.layout.directory]);
      const checks: { name: string; status: string }[] = JSON.parse(doctor.stdout);
      assert.equal(checks.find(({ name }) => name === "chains")?.status, "pass", doctor.stdout);
      for (const id of ["first", "second"]) {
        const device = await site.connect(`${site.layout.devicesFolder}/${id}`);
        await device.response((await device.send('{"temperature":1}')).messageId);
      }
      await run("device", "revoke", "second");
      const second = `${site.layout.devicesFolder}/second`;
      await assert.rejects(site.connect(second), /revoked/i);
    });
  });
}
