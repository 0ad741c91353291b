import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { keyPairFault } from "../../../src/config/credentials.ts";
import { earliestEnd } from "../../../src/config/expiry.ts";
import { readCertificates, readPrivateKey } from "../../../src/config/pem.ts";
import { readCertificateRequest } from "../../../src/site/pki/certificate_request.ts";
import { shell } from "../../support/shell.ts";
import { withFolder } from "../../support/with_folder.ts";

/** A library's way of saying it. */
const LIBRARY_WORDS = /error:0|BER|ASN\.?1|Tag\(|undefined|Cannot get|unsupported|base64url/;

async function openssl(...args: string[]): Promise<string> {
  const { stdout, stderr, success } = await new Deno.Command("openssl", { args, stdin: "null" })
    .output();
  assert.ok(success, `openssl ${args.join(" ")}: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A key, its certificate and its request in every form, by name. */
async function makeForms(folder: string): Promise<Map<string, Uint8Array>> {
  const at = (name: string) => `${folder}/${name}`;
  await openssl("ecparam", "-name", "prime256v1", "-genkey", "-out", at("sec1 with parameters"));
  await openssl("ec", "-in", at("sec1 with parameters"), "-out", at("sec1"));
  await openssl("ec", "-in", at("sec1"), "-outform", "DER", "-out", at("sec1 der"));
  await openssl("pkcs8", "-topk8", "-nocrypt", "-in", at("sec1"), "-out", at("pkcs8"));
  await openssl("pkey", "-in", at("pkcs8"), "-outform", "DER", "-out", at("pkcs8 der"));
  await openssl("genrsa", "-traditional", "-out", at("pkcs1"), "2048");
  await openssl(
    "rsa",
    "-in",
    at("pkcs1"),
    "-outform",
    "DER",
    "-traditional",
    "-out",
    at("pkcs1 der"),
  );
  const password = ["-passout", "pass:x"];
  await openssl("pkcs8", "-topk8", "-in", at("sec1"), ...password, "-out", at("encrypted pkcs8"));
  await openssl("ec", "-in", at("sec1"), "-aes128", ...password, "-out", at("encrypted sec1"));
  const explicit = ["-param_enc", "explicit"];
  await openssl("ecparam", "-name", "prime256v1", ...explicit, "-genkey", "-out", at("no curve"));
  await openssl("pkey", "-in", at("sec1"), "-pubout", "-out", at("public key"));
  const x509 = ["req", "-x509", "-key", at("sec1"), "-subj", "/CN=x", "-days", "30"];
  await openssl(...x509, "-out", at("certificate"));
  await openssl(...x509, "-outform", "DER", "-out", at("certificate der"));
  const csr = ["req", "-new", "-key", at("sec1"), "-subj", "/CN=x"];
  await openssl(...csr, "-out", at("request"));
  await openssl(...csr, "-outform", "DER", "-out", at("request der"));
  await openssl(...csr, "-newhdr", "-out", at("new request"));
  await openssl(
    "pkcs12",
    "-export",
    "-in",
    at("certificate"),
    "-inkey",
    at("sec1"),
    ...password,
    ...[
      "-out",
      at("pkcs12"),
    ],
  );
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name);
  const forms = new Map(names.map((name) => [name, Deno.readFileSync(at(name))]));
  return new Map([...forms, ...mixed(forms)]);
}

/** What happens to files on their way. */
function mixed(forms: ReadonlyMap<string, Uint8Array>): [string, Uint8Array][] {
  const text = (name: string) => new TextDecoder().decode(forms.get(name));
  const bytes = (name: string) => new TextEncoder().encode(name);
  const utf16 = (name: string) =>
    new Uint8Array(Uint16Array.from(`\ufeff${text(name)}`, (char) => char.charCodeAt(0)).buffer);
  return ["pkcs8", "certificate", "request"].flatMap((name): [string, Uint8Array][] => [
    [`${name} blanks`, bytes(text(name).replaceAll("\n", " \t\n"))],
    [`${name} crlf`, bytes(text(name).replaceAll("\n", "\r\n"))],
    [`${name} bom`, bytes(`\ufeff${text(name)}`)],
    [`${name} utf-16`, utf16(name)],
    [`${name} cut`, bytes(text(name).slice(0, -40))],
    [`${name} damaged`, bytes(text(name).replace(/\n./, "\n!"))],
  ]).concat([
    ["all", bytes(text("sec1 with parameters") + text("certificate") + text("request"))],
    ["two requests", bytes(text("request") + text("request"))],
    ["nothing", new Uint8Array()],
    ["words", bytes("0 is where it begins")],
    ["half a certificate", forms.get("certificate der")!.slice(0, 100)],
    ["half a request", forms.get("request der")!.slice(0, 100)],
  ]);
}

type Outcome = { readonly ok: true } | { readonly ok: false; readonly fault: string };

async function checkAll(
  forms: ReadonlyMap<string, Uint8Array>,
  { read, taken, refused }: {
    read(bytes: Uint8Array): Outcome | Promise<Outcome>;
    taken: readonly string[];
    refused: Readonly<Record<string, RegExp>>;
  },
): Promise<void> {
  for (const [name, bytes] of forms) {
    const result = await read(bytes);
    assert.equal(result.ok, taken.includes(name), `${name}: ${JSON.stringify(result)}`);
    if (result.ok) continue;
    assert.match(result.fault, refused[name] ?? /^(it|its) [^\n]{5,140}$/, name);
    assert.doesNotMatch(result.fault, LIBRARY_WORDS, name);
  }
}

const WAYS = ["", " blanks", " crlf", " bom", " utf-16"];

Deno.test("keys, certificates and requests are taken in every form, or refused in a sentence", async () => {
  await withFolder(async (folder) => {
    const forms = await makeForms(folder);
    await checkAll(forms, {
      read: readPrivateKey,
      taken: [
        ...WAYS.map((way) => `pkcs8${way}`),
        ..."sec1,sec1 with parameters,sec1 der,pkcs8 der,pkcs1,pkcs1 der,all".split(","),
      ],
      refused: {
        "encrypted pkcs8": /^it is encrypted, .*openssl pkey/,
        "encrypted sec1": /^it is encrypted, .*openssl pkey/,
        "public key": /^it has no private key: there is PUBLIC KEY$/,
        "certificate": /^it has no private key: there is CERTIFICATE$/,
        "pkcs8 cut": /^its part BEGIN PRIVATE KEY has no END/,
        "pkcs8 damaged": /is damaged/,
        "no curve": /^its private key cannot be read: use RSA/,
        "nothing": /^it is empty$/,
        "words": /^it is neither PEM nor DER$/,
      },
    });
    await checkAll(forms, {
      read: readCertificates,
      taken: [...WAYS.map((way) => `certificate${way}`), "certificate der", "all"],
      refused: {
        "request": /^it has no certificate: there is CERTIFICATE REQUEST$/,
        "half a certificate": /cannot be read/,
      },
    });
    await checkAll(forms, {
      read: readCertificateRequest,
      taken: [...WAYS.map((way) => `request${way}`), "request der", "new request", "all"],
      refused: {
        "pkcs8": /^it is not a certificate request: there is PRIVATE KEY$/,
        "two requests": /more than one/,
      },
    });
    assert.equal(
      earliestEnd(forms.get("certificate der")!),
      earliestEnd(forms.get("certificate")!),
    );
    const pair = { certificate: `${folder}/certificate der`, key: `${folder}/sec1 der` };
    assert.equal(keyPairFault(pair), undefined);
    assert.match(keyPairFault({ ...pair, key: `${folder}/pkcs1` })!, /is not the key of/);
  });
});

Deno.test("a device authority of one's own may have any key that OpenSSL signs with", async () => {
  const kinds: Readonly<Record<string, readonly string[]>> = {
    rsa: ["-newkey", "rsa:2048"],
    p384: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384"],
    p521: ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-521"],
    ed25519: ["-newkey", "ed25519"],
  };
  await withFolder(async (folder) => {
    const dir = `${folder}/site`;
    const run = (...args: string[]) => shell([...args, "--dir", dir]);
    assert.equal((await run("init")).code, 0);
    const [ca, key] = [`${dir}/certs/device-ca.crt`, `${dir}/certs/device-ca.key`];
    const make = (kind: readonly string[], ...usage: string[]) =>
      openssl("req", "-x509", "-nodes", ...kind, "-subj", "/CN=Own", "-days", "90", ...[
        "-keyout",
        key,
        "-out",
        ca,
        ...usage.flatMap((one) => ["-addext", one]),
      ]);
    for (const [name, kind] of Object.entries(kinds)) {
      await make(kind, "keyUsage=critical,keyCertSign,cRLSign");
      const added = await run("device", "add", name);
      assert.equal(added.code, 0, `${name}: ${added.stderr}`);
      const issued = `${dir}/devices/${name}/client.crt`;
      assert.match(await openssl("verify", "-CAfile", ca, issued), /OK/);
      assert.equal(new X509Certificate(Deno.readTextFileSync(issued)).subject, `CN=${name}`);
      // Nothing listens, so the command ends in a fault, but the list is written before.
      await run("device", "revoke", name);
      const crl = `${dir}/certs/device-ca.crl`;
      assert.match(
        await openssl("crl", "-in", crl, "-CAfile", ca, "-noout", "-text"),
        /Serial Number/,
      );
    }
    await make(kinds["p384"]!, "keyUsage=critical,keyCertSign");
    const noLists = await run("device", "add", "late");
    assert.equal(noLists.code, 1);
    assert.match(noLists.stderr, /its keyUsage must allow both keyCertSign and cRLSign/);
  });
});
