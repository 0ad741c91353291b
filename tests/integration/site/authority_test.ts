import assert from "node:assert/strict";
import { join } from "node:path";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { earliestEnd } from "../../../src/config/expiry.ts";
import {
  type Authority,
  createAuthority,
  createRevocationList,
  issueClientCertificate,
  issueServerCertificate,
  openAuthority,
  revokedBy,
  serialFrom,
} from "../../../src/site/pki/authority.ts";

import { isIssuedBy } from "../../../src/site/pki/certificate_view.ts";
import { isSignedBy, signText } from "../../../src/site/pki/signed_text.ts";
import { withFolder } from "../../support/with_folder.ts";

const NOW_MS = Date.UTC(2030, 0, 15, 12, 0, 0, 789);

Deno.test("createAuthority() makes a CA that OpenSSL reads as one that signs no further CA", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const text = await openssl(["x509", "-noout", "-text"], authority.certificatePem);
  assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0/);
  assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign/);
  assert.match(text, /ASN1 OID: prime256v1/);
  assert.match(text, /Not Before: Jan 14 12:00:00 2030 GMT/);
  assert.match(text, /Not After : Jan 15 12:00:00 2050 GMT/);
});

Deno.test("issueClientCertificate() makes a client, and nothing else, that OpenSSL verifies", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const issued = await issueClientCertificate(authority, {
    commonName: "sensor_001",
    nowMs: NOW_MS,
  });
  const text = await openssl(["x509", "-noout", "-text"], issued.certificatePem);
  assert.match(text, /Subject: CN = sensor_001\n/);
  assert.match(text, /Basic Constraints: critical\s+CA:FALSE/);
  assert.match(text, /Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /Extended Key Usage: \s+TLS Web Client Authentication\n/);
  assert.match(text, /Subject Key Identifier/);
  assert.match(text, /Authority Key Identifier/);
  assert.equal(issued.notBefore, Date.UTC(2030, 0, 14, 12) / 1000);
  assert.equal(issued.notAfter, Date.UTC(2040, 0, 15, 12) / 1000);
  const serial = await openssl(["x509", "-noout", "-serial"], issued.certificatePem);
  assert.equal(serial.trim().toLowerCase(), `serial=${issued.serial}`);

  assert.match(await verify(authority, issued.certificatePem, ["-purpose", "sslclient"]), /OK/);
  assert.match(
    await verify(authority, issued.certificatePem, ["-purpose", "sslserver"]),
    /unsuitable certificate purpose/,
  );
});

Deno.test("issueServerCertificate() answers to names and to addresses of both kinds", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const hosts = ["localhost", "127.0.0.1", "gateway.example", "2001:db8::7", "::ffff:10.1.2.3"];
  const issued = await issueServerCertificate(authority, {
    commonName: "broker",
    hosts,
    nowMs: NOW_MS,
  });
  for (const host of hosts) {
    const option = /^[\d.]+$|:/.test(host) ? "-verify_ip" : "-verify_hostname";
    const verdict = await verify(authority, issued.certificatePem, [
      "-purpose",
      "sslserver",
      option,
      host,
    ]);
    assert.match(verdict, /OK/, host);
  }
  assert.match(
    await verify(authority, issued.certificatePem, ["-verify_hostname", "elsewhere.example"]),
    /hostname mismatch/,
  );
});

Deno.test("a certificate does not outlive its authority", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const late = NOW_MS + 15 * 365 * 86_400_000;
  const issued = await issueClientCertificate(authority, { commonName: "late", nowMs: late });
  assert.equal(issued.notAfter, authority.certificate.notAfter.getTime() / 1000);
});

Deno.test("openAuthority() reads an authority back that issues what the first one vouches for", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const { certificatePem, keyPem } = authority;
  const opened = await openAuthority({ certificatePem, keyPem });
  assert.ok(opened.ok);
  const issued = await issueClientCertificate(opened.authority, {
    commonName: "sensor_001",
    nowMs: NOW_MS,
  });
  assert.match(await verify(authority, issued.certificatePem, []), /OK/);
});

Deno.test("createRevocationList() makes an empty list that OpenSSL verifies and checks by", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const list = await createRevocationList(authority, { revoked: [], number: 1, nowMs: NOW_MS });
  assert.match(list, /^-----BEGIN X509 CRL-----\n[^]*-----END X509 CRL-----\n$/);
  const text = await openssl(["crl", "-noout", "-text"], list);
  assert.match(text, /Version 2/);
  assert.match(text, /X509v3 CRL Number: \s+1\n/);
  assert.match(text, /Authority Key Identifier/);
  assert.match(text, /Next Update: Jan 15 12:00:00 2050 GMT/);
  assert.match(text, /No Revoked Certificates/);
  const issued = await issueClientCertificate(authority, {
    commonName: "sensor_001",
    nowMs: NOW_MS,
  });
  assert.match(await verify(authority, issued.certificatePem, ["-crl_check"], list), /OK/);
});

Deno.test("createRevocationList() revokes the certificate whose serial it names", async () => {
  const authority = await createAuthority({ commonName: "Test authority", nowMs: NOW_MS });
  const issued = await issueClientCertificate(authority, {
    commonName: "sensor_001",
    nowMs: NOW_MS,
  });
  const revoked = [{ serial: issued.serial, revokedAtMs: NOW_MS }];
  const list = await createRevocationList(authority, { revoked, number: 128, nowMs: NOW_MS });
  assert.match(await openssl(["crl", "-noout", "-text"], list), /CRL Number: \s+128\n/);
  assert.match(
    await verify(authority, issued.certificatePem, ["-crl_check"], list),
    /certificate revoked/,
  );
});

Deno.test("serialFrom() is positive, non-zero and 16 bytes long whatever the random bytes are", () => {
  assert.equal(serialFrom(new Uint8Array(16)), "40" + "00".repeat(15));
  assert.equal(serialFrom(new Uint8Array(16).fill(0xff)), "7f" + "ff".repeat(15));
});

for (
  const kind of [
    ["rsa:2048"],
    ["ed25519"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"],
  ]
) {
  Deno.test(`signText() signs with an authority's own key, ${kind.at(-1)}`, async () => {
    const authority = await ownAuthority(kind);
    const signed = await signText(authority, "text");
    assert.ok(await isSignedBy([authority.certificatePem], "text", [signed]));
    assert.ok(!await isSignedBy([authority.certificatePem], "texts", [signed]));
  });

  Deno.test(`isIssuedBy() knows an authority's own certificates, ${kind.at(-1)}`, async () => {
    const [authority, namesake] = [await ownAuthority(kind), await ownAuthority(kind)];
    const { certificatePem } = await issueClientCertificate(authority, {
      commonName: "sensor_001",
      nowMs: NOW_MS,
    });
    assert.ok(await isIssuedBy(certificatePem, authority.certificatePem));
    const encoded = await openssl(
      ["x509", "-noout", "-issuer", "-nameopt", "show_type"],
      certificatePem,
    );
    assert.match(encoded, /CN=UTF8STRING:Own/, "the name as the authority has it");
    assert.ok(await isIssuedBy(await reencoded(authority), authority.certificatePem));
    assert.ok(!await isIssuedBy(certificatePem, namesake.certificatePem));
    assert.ok(!await isIssuedBy(certificatePem, "no certificate"));
    assert.ok(!await isIssuedBy("", authority.certificatePem));
  });
}

Deno.test("isIssuedBy() takes no word of a key that may not sign, and none for another key", async () => {
  const authority = await createAuthority({ commonName: "Own", nowMs: NOW_MS });
  const { key, algorithm, certificate } = authority;
  const signed = async (extensions: x509.Extension[], subject = "CN=sensor_001") => {
    const issued = await x509.X509CertificateGenerator.create({
      ...{ subject, issuer: certificate.subject, extensions },
      publicKey: certificate.publicKey,
      ...{ signingAlgorithm: algorithm, signingKey: key },
    });
    return issued.toString("pem");
  };
  const keyId = (id: string) => [new x509.AuthorityKeyIdentifierExtension(id)];
  const own = certificate.getExtension(x509.SubjectKeyIdentifierExtension)!.keyId;
  assert.ok(await isIssuedBy(await signed(keyId(own)), authority.certificatePem));
  assert.ok(!await isIssuedBy(await signed(keyId("00".repeat(20))), authority.certificatePem));
  const signature = new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true);
  const other = await signed([signature], certificate.subject);
  assert.ok(!await isIssuedBy(await signed([]), other));
  const signs = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true);
  assert.ok(await isIssuedBy(await signed([]), await signed([signs], certificate.subject)));
});

/** A certificate with the authority's name in another encoding, as earlier versions issued them. */
async function reencoded({ certificate, key, algorithm }: Authority): Promise<string> {
  const issued = await x509.X509CertificateGenerator.create({
    subject: "CN=sensor_001",
    issuer: certificate.subjectName.toJSON(),
    publicKey: certificate.publicKey,
    signingAlgorithm: algorithm,
    signingKey: key,
  });
  return issued.toString("pem");
}

/** An authority of the operator's own, with a key of this kind. */
async function ownAuthority(kind: readonly string[]): Promise<Authority> {
  return await withFolder(async (folder) => {
    const [key, certificate] = [join(folder, "key"), join(folder, "certificate")];
    await openssl([
      ...["req", "-x509", "-nodes", "-subj", "/CN=Own", "-newkey", ...kind],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", key],
      ...["-out", certificate],
    ], "");
    const opened = await openAuthority({
      certificatePem: await Deno.readTextFile(certificate),
      keyPem: await Deno.readTextFile(key),
    });
    assert.ok(opened.ok);
    return opened.authority;
  });
}

/** What `openssl verify` says, at the tests' own time. */
async function verify(
  authority: Authority,
  certificatePem: string,
  ...[options, revocationList = ""]: [options: string[], revocationList?: string]
): Promise<string> {
  const folder = await Deno.makeTempDir();
  try {
    const anchors = join(folder, "ca.pem");
    await Deno.writeTextFile(anchors, authority.certificatePem + revocationList);
    const time = String(Math.floor(NOW_MS / 1000) + 60);
    return await openssl(
      ["verify", "-x509_strict", "-attime", time, "-CAfile", anchors, ...options],
      certificatePem,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function openssl(args: string[], input: string): Promise<string> {
  const process = new Deno.Command("openssl", {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(input));
  await writer.close();
  const { stdout, stderr } = await process.output();
  return new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
}

Deno.test("a list or certificate that is damaged is none, and throws nothing of a library", async () => {
  const authority = await createAuthority({ commonName: "Damaged", nowMs: NOW_MS });
  const list = await createRevocationList(authority, { revoked: [], number: 1, nowMs: NOW_MS });
  const withoutLine = (pem: string) => pem.split("\n").toSpliced(2, 1).join("\n");
  assert.deepEqual(await revokedBy(authority.certificate, list), []);
  assert.equal(await revokedBy(authority.certificate, withoutLine(list)), undefined);
  const bytes = new TextEncoder().encode(withoutLine(authority.certificatePem));
  assert.equal(earliestEnd(bytes), undefined);
});
