import assert from "node:assert/strict";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const READING = '{"temperature":22.5}';

function run(site: LiveSite, ...args: string[]) {
  return shell([...args, "--dir", site.layout.directory]);
}

Deno.test("rotate-authority: both are trusted in between, and the old one no more at the end", async () => {
  await withLiveSite(async (site) => {
    const [staying, folder] = [await site.device("staying"), await site.register("moving")];
    const old = {
      certificate: await Deno.readTextFile(`${folder}/client.crt`),
      key: await Deno.readTextFile(`${folder}/client.key`),
    };
    const begun = await run(site, "rotate-authority");
    assert.equal(begun.code, 0, begun.stderr);
    assert.match(begun.stdout, /2 devices still need a new one/);

    const again = await run(site, "rotate-authority");
    assert.equal(again.code, 0, again.stderr);
    const authority = await Deno.readTextFile(site.layout.deviceCa.certificate);
    assert.equal(authority.match(/BEGIN CERTIFICATE/g)?.length, 2, "it is one move");

    assert.equal((await run(site, "device", "rotate", "moving", "--certificate")).code, 0);
    for (const options of [{}, { clientCertificate: old }]) {
      const device = await site.connect(folder, options);
      await device.response((await device.send(READING)).messageId);
    }
    const early = await run(site, "rotate-authority", "--finish");
    assert.equal(early.code, 1);
    assert.match(early.stderr, /1 devices have no certificate of the new authority: staying/);
    assert.equal((await run(site, "device", "revoke", "moving")).code, 0);
    for (const options of [{}, { clientCertificate: old }]) {
      await assert.rejects(site.connect(folder, options), /revoked/i, "on the lists of both");
    }
    assert.equal((await run(site, "device", "restore", "moving")).code, 0);

    assert.equal((await run(site, "device", "rotate", "staying", "--certificate")).code, 0);
    const finished = await run(site, "rotate-authority", "--finish");
    assert.equal(finished.code, 0, finished.stderr);
    await assert.rejects(site.connect(folder, { clientCertificate: old }), /unknown ?ca/i);
    const device = await site.connect(folder);
    await device.response((await device.send(READING)).messageId);
    assert.ok(staying.connected, "an open connection is not touched");
    assert.deepEqual(
      [...Deno.readDirSync(site.layout.certificatesFolder)].map(({ name }) => name)
        .filter((name) => name.startsWith("device-ca")).sort(),
      ["device-ca.crl", "device-ca.crt", "device-ca.key"],
    );
    assert.equal((await run(site, "rotate-authority", "--finish")).code, 0);
  });
});

Deno.test("a move of the authority that broke off at any step is gone on with", async () => {
  const { createAuthority } = await import("../../src/site/pki/authority.ts");
  await withLiveSite(async (site) => {
    const { deviceCa, nextDeviceCa, previousDeviceCa } = site.layout;
    const folder = await site.register("sensor_001");
    const next = await createAuthority({ commonName: "Next", nowMs: Date.now() });
    const [crt, key] = [
      await Deno.readTextFile(deviceCa.certificate),
      await Deno.readTextFile(deviceCa.key),
    ];
    const steps = [
      () => Deno.writeTextFile(nextDeviceCa.key, next.keyPem),
      () => Deno.writeTextFile(nextDeviceCa.certificate, next.certificatePem),
      () => Deno.writeTextFile(previousDeviceCa.key, key),
      () => Deno.writeTextFile(previousDeviceCa.certificate, crt),
      () => Deno.writeTextFile(deviceCa.certificate, next.certificatePem + crt),
      () => Deno.writeTextFile(deviceCa.key, next.keyPem),
    ];
    for (let broken = 1; broken <= steps.length; broken++) {
      for (const step of steps.slice(0, broken)) await step();
      const result = await run(site, "rotate-authority");
      assert.equal(result.code, 0, `step ${broken}: ${result.stderr}`);
      const device = await site.connect(folder);
      await device.response((await device.send(READING)).messageId);
      assert.match(await Deno.readTextFile(previousDeviceCa.certificate), /BEGIN/);
      for (const path of Object.values({ ...previousDeviceCa })) await Deno.remove(path);
      await Deno.writeTextFile(deviceCa.certificate, crt);
      await Deno.writeTextFile(deviceCa.key, key);
    }
  });
});
