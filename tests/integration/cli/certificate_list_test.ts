import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { type SiteLayout, siteLayout } from "../../../src/site/layout.ts";
import {
  type Authority,
  issueServerCertificate,
  openAuthority,
} from "../../../src/site/pki/authority.ts";
import { quietPorts, shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

const DAY_MS = 86_400_000;
/** The longest line that every terminal shows whole. */
const LINE_CHARS = 80;

async function withSite(work: (layout: SiteLayout) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const layout = siteLayout(`${folder}/site`);
    const { code, stderr } = await shell(["init", "--dir", layout.directory, ...quietPorts()]);
    assert.equal(code, 0, stderr);
    await work(layout);
  });
}

async function authorityOf({ gatewayCa }: SiteLayout): Promise<Authority> {
  const opened = await openAuthority({
    certificatePem: await Deno.readTextFile(gatewayCa.certificate),
    keyPem: await Deno.readTextFile(gatewayCa.key),
  });
  assert.ok(opened.ok);
  return opened.authority;
}

function list({ directory }: SiteLayout, ...args: string[]) {
  return shell(["certificate", "list", "--dir", directory, ...args]);
}

Deno.test("certificate list: what has expired is first, and what cannot be read is named", async () => {
  await withSite(async (layout) => {
    const { broker, gateway, deviceCa } = layout;
    const issued = await issueServerCertificate(await authorityOf(layout), {
      ...{ commonName: "broker", hosts: ["localhost", "::1"], days: 10 },
      nowMs: Date.now() - 12 * DAY_MS,
    });
    await Deno.writeTextFile(broker.certificate, issued.certificatePem);
    await Deno.writeTextFile(gateway.certificate, "no certificate");
    const authority = await Deno.readTextFile(deviceCa.certificate);
    await Deno.writeTextFile(deviceCa.certificate, authority + issued.certificatePem);
    const { code, stdout, stderr } = await list(layout);
    assert.equal(code, 0);
    assert.match(stdout, /^certs\/broker\.crt: until \d{4}-\d\d-\d\d, EXPIRED$/m);
    assert.match(
      stdout,
      /^ {2}used by {2}the broker, for devices and gateway; the gateway's API$/m,
    );
    assert.match(stdout, /^ {2}names {4}localhost, ::1$/m);
    assert.match(stderr, /^warning: .*gateway\.crt": it is neither PEM nor DER$/m);
    assert.equal(stdout.match(/^certs\/device-ca\.crt: /gm)?.length, 2, "both of one file");
    assert.ok(stdout.split("\n").every((line) => line.length <= LINE_CHARS));
    const [first] = JSON.parse((await list(layout, "--json")).stdout);
    assert.partialDeepStrictEqual(first, {
      serial: issued.serial,
      days_left: -3,
      issuer: "CN=Gateway authority",
      until: new Date(issued.notAfter * 1000).toISOString(),
    });
  });
});

Deno.test("certificate renew: the type of the key and the subject stay", async () => {
  await withSite(async (layout) => {
    const { broker, directory } = layout;
    const issued = await issueServerCertificate(await authorityOf(layout), {
      ...{ commonName: "gw.example", hosts: ["localhost", "127.0.0.1"], nowMs: Date.now() },
      keyType: "rsa",
    });
    await Deno.writeTextFile(broker.certificate, issued.certificatePem);
    await Deno.writeTextFile(broker.key, issued.keyPem);
    const { code, stderr } = await shell(["certificate", "renew", "broker", "--dir", directory]);
    assert.equal(code, 0, stderr);
    const { subject, publicKey } = new X509Certificate(Deno.readTextFileSync(broker.certificate));
    assert.deepEqual([subject, publicKey.asymmetricKeyType], ["CN=gw.example", "rsa"]);
  });
});
