/**
 * X.509 in process: authorities, what they issue, and revocation lists.
 *
 * The rules are:
 * - EC P-256 everywhere; keys leave as PKCS#8 PEM.
 * - An authority signs end certificates and revocation lists, and no further authority.
 * - A certificate is good for one role, server or client, never both.
 * - Nothing outlives its authority.
 */

import "reflect-metadata";
import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";

/** How long an authority and its revocation list are valid, in days: 20 years. */
const AUTHORITY_DAYS = 20 * 365 + 5;

/** How long an end certificate is valid, in days: 10 years, since an isolated site has no one to renew it. */
const CERTIFICATE_DAYS = 10 * 365 + 2;

/** Random bytes in a serial number. */
export const SERIAL_BYTES = 16;

/** How far notBefore is set back, in days: the clocks of devices lag. */
const BACKDATED_DAYS = 1;

/** Who can issue: a CA certificate and its private key. */
export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly key: CryptoKey;
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** The public key of a checked request. */
export type PublicKey = x509.PublicKey;

/** A request for a certificate that was checked. */
type RequestResult =
  | { readonly ok: true; readonly publicKey: PublicKey }
  | { readonly ok: false; readonly fault: string };

/** An end certificate; `serial` in lower-case hex, times in unix seconds. */
export interface EndCertificate {
  readonly certificatePem: string;
  readonly serial: string;
  readonly notBefore: number;
  readonly notAfter: number;
  /** Fingerprint of the authority. */
  readonly issuer: string;
}

/** An end certificate with its key. */
export interface IssuedCertificate extends EndCertificate {
  readonly keyPem: string;
}

/** One line of a revocation list; `serial` in hex, the time in unix milliseconds. */
interface RevokedCertificate {
  readonly serial: string;
  readonly revokedAtMs: number;
}

const DAY_MS = 86_400_000;
const CRL_NUMBER_OID = "2.5.29.20";
const RSA_MIN_BITS = 2_048;
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];
const CLIENT_ROLE = [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])];
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Makes a self-signed authority that may sign end certificates only (`pathlen:0`). */
export async function createAuthority(
  options: { commonName: string; nowMs: number },
): Promise<Authority> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerial(),
    subject: distinguishedName(options.commonName),
    issuer: distinguishedName(options.commonName),
    ...validity(options.nowMs, AUTHORITY_DAYS),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return {
    certificate,
    key: keys.privateKey,
    certificatePem: certificatePem(certificate),
    keyPem: await privateKeyPem(keys.privateKey),
  };
}

/** Reads an authority back from its PEM texts; check the pair with `keyBelongsToCertificate` first. */
export async function openAuthority(
  pem: { certificatePem: string; keyPem: string },
): Promise<Authority> {
  const pkcs8 = x509.PemConverter.decodeFirst(pem.keyPem);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, ALGORITHM, true, ["sign"]);
  return { ...pem, certificate: new x509.X509Certificate(pem.certificatePem), key };
}

/** Issues a certificate for a TLS server that answers to `hosts`: DNS names, IPv4 and IPv6 addresses. */
export function issueServerCertificate(
  authority: Authority,
  options: { commonName: string; hosts: readonly string[]; nowMs: number },
): Promise<IssuedCertificate> {
  const names = new x509.SubjectAlternativeNameExtension(options.hosts.map(alternativeName));
  return issue(authority, {
    ...options,
    roleExtensions: [
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      names,
    ],
  });
}

/** Issues a certificate for a TLS client that is known by its common name; `serial` in hex. */
export function issueClientCertificate(
  authority: Authority,
  options: { commonName: string; nowMs: number; days?: number; serial?: string },
): Promise<IssuedCertificate> {
  return issue(authority, {
    ...options,
    roleExtensions: CLIENT_ROLE,
  });
}

/** Issues a client's certificate for a key that the client keeps to itself. */
export function certifyClient(
  authority: Authority,
  options: { commonName: string; nowMs: number; days?: number; publicKey: x509.PublicKey },
): Promise<EndCertificate> {
  return certify(authority, { ...options, roleExtensions: CLIENT_ROLE });
}

/**
 * Reads a PKCS #10 request: only its key is taken. The request must be signed with that key, and
 * the key must be RSA of 2048 bits and more, EC P-256, P-384 or P-521, or Ed25519.
 */
export async function readCertificateRequest(pem: string): Promise<RequestResult> {
  try {
    const request = new x509.Pkcs10CertificateRequest(x509.PemConverter.decodeFirst(pem));
    const fault = keyFault(request.publicKey);
    if (fault !== undefined) return { ok: false, fault };
    if (/SHA-1$|MD/.test(request.signatureAlgorithm.hash?.name ?? "")) {
      return { ok: false, fault: "it is signed over a hash that can be forged" };
    }
    return await request.verify()
      ? { ok: true, publicKey: request.publicKey }
      : { ok: false, fault: "it is not signed with its own key" };
  } catch (error) {
    return { ok: false, fault: `it is not a certificate request: ${(error as Error).message}` };
  }
}

/** Makes the authority's revocation list as PEM; `number` must grow from one list to the next. */
export async function createRevocationList(
  authority: Authority,
  options: { revoked: readonly RevokedCertificate[]; number: number; nowMs: number },
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: authority.certificate.subjectName.toJSON(),
    thisUpdate: validity(options.nowMs, 0).notBefore,
    // A list that expires refuses every device, so it lasts as long as the authority.
    nextUpdate: authority.certificate.notAfter,
    entries: options.revoked.map(({ serial, revokedAtMs }) => ({
      serialNumber: serial,
      revocationDate: new Date(revokedAtMs),
    })),
    extensions: [
      await authorityKeyIdentifier(authority),
      new x509.Extension(CRL_NUMBER_OID, false, derInteger(options.number)),
    ],
    signingAlgorithm: ALGORITHM,
    signingKey: authority.key,
  });
  // OpenSSL, and so Mosquitto, knows the list by this label only.
  return x509.PemConverter.encode(list.rawData, "X509 CRL") + "\n";
}

/** Reads a certificate alone: whom it can verify, not whom it can sign. */
export function openCertificate(pem: string): x509.X509Certificate {
  return new x509.X509Certificate(pem);
}

/** What the lists in a PEM text that an authority has signed name; undefined if none is its own. */
export async function revokedBy(
  authority: x509.X509Certificate,
  pem: string,
): Promise<RevokedCertificate[] | undefined> {
  let revoked: RevokedCertificate[] | undefined;
  for (const der of x509.PemConverter.decode(pem)) {
    const list = new x509.X509Crl(der);
    if (!await list.verify({ publicKey: authority.publicKey })) continue;
    revoked ??= [];
    for (const { serialNumber, revocationDate } of list.entries) {
      revoked.push({ serial: serialNumber, revokedAtMs: revocationDate.getTime() });
    }
  }
  return revoked;
}

/** True if a revocation list is the authority's and names every one of the serials. */
export async function revocationListNames(
  pem: string,
  authority: Authority,
  serials: readonly string[],
): Promise<boolean> {
  const list = new x509.X509Crl(x509.PemConverter.decodeFirst(pem));
  return serials.every((serial) => list.findRevoked(serial) !== null) &&
    await list.verify({ publicKey: authority.certificate.publicKey });
}

/** The SHA-256 of a certificate, 64 lower-case hex digits. */
export function fingerprintOf(certificatePem: string): string {
  return new X509Certificate(certificatePem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** True if the private key is the certificate's; false also if either cannot be read. */
export function keyBelongsToCertificate(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

/** A serial number from 16 random bytes, as hex: positive and of fixed length (RFC 5280 §4.1.2.2). */
export function serialFrom(random: Uint8Array): string {
  const bytes = Uint8Array.from(random);
  // The top bit is the sign; with the next one set there is no leading zero that DER forbids.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.toHex();
}

interface CertificateOptions {
  readonly commonName: string;
  readonly nowMs: number;
  readonly days?: number;
  readonly serial?: string;
  readonly roleExtensions: x509.Extension[];
}

async function issue(
  authority: Authority,
  options: CertificateOptions,
): Promise<IssuedCertificate> {
  const keys = await generateKeys();
  const certificate = await certify(authority, { ...options, publicKey: keys.publicKey });
  return { ...certificate, keyPem: await privateKeyPem(keys.privateKey) };
}

async function certify(
  authority: Authority,
  options: CertificateOptions & { publicKey: x509.PublicKeyType },
): Promise<EndCertificate> {
  const { publicKey } = options;
  const { notBefore, notAfter } = validity(options.nowMs, options.days ?? CERTIFICATE_DAYS);
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: options.serial ?? randomSerial(),
    subject: distinguishedName(options.commonName),
    issuer: authority.certificate.subjectName.toJSON(),
    notBefore,
    notAfter: new Date(Math.min(notAfter.getTime(), authority.certificate.notAfter.getTime())),
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      ...options.roleExtensions,
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
      await authorityKeyIdentifier(authority),
    ],
  });
  return {
    certificatePem: certificatePem(certificate),
    serial: certificate.serialNumber,
    notBefore: certificate.notBefore.getTime() / 1000,
    notAfter: certificate.notAfter.getTime() / 1000,
    issuer: fingerprintOf(authority.certificatePem),
  };
}

function keyFault({ rawData }: x509.PublicKey): string | undefined {
  const key = createPublicKey({ key: Buffer.from(rawData), format: "der", type: "spki" });
  const { modulusLength = 0, namedCurve = "" } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return undefined;
    case "rsa":
      return modulusLength >= RSA_MIN_BITS
        ? undefined
        : `its RSA key has ${modulusLength} bits, at least ${RSA_MIN_BITS} are needed`;
    case "ec":
      return CURVES.includes(namedCurve)
        ? undefined
        : `its key is on the curve ${namedCurve}, not one of ${CURVES.join(", ")}`;
    default:
      return `its key is ${key.asymmetricKeyType}, not RSA, EC or Ed25519`;
  }
}

function generateKeys(): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

function randomSerial(): string {
  return serialFrom(crypto.getRandomValues(new Uint8Array(SERIAL_BYTES)));
}

function distinguishedName(commonName: string): x509.JsonName {
  return [{ CN: [commonName] }];
}

/** X.509 counts in whole seconds. */
function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  const nowSecondMs = Math.floor(nowMs / 1000) * 1000;
  return {
    notBefore: new Date(nowSecondMs - BACKDATED_DAYS * DAY_MS),
    notAfter: new Date(nowSecondMs + days * DAY_MS),
  };
}

function alternativeName(host: string): x509.JsonGeneralName {
  switch (isIP(host)) {
    case 0:
      return { type: "dns", value: host };
    case 6:
      // The encoder takes the hexadecimal form only: "::ffff:1.2.3.4" would come out wrong.
      return { type: "ip", value: new URL(`http://[${host}]`).hostname.slice(1, -1) };
    default:
      return { type: "ip", value: host };
  }
}

/** What the authority's own certificate says, since a brought one may count its key otherwise. */
async function authorityKeyIdentifier(
  { certificate }: Authority,
): Promise<x509.AuthorityKeyIdentifierExtension> {
  const subject = certificate.getExtension(x509.SubjectKeyIdentifierExtension);
  return subject
    ? new x509.AuthorityKeyIdentifierExtension(subject.keyId)
    : await x509.AuthorityKeyIdentifierExtension.create(certificate.publicKey);
}

function derInteger(value: number): Uint8Array<ArrayBuffer> {
  const digits = value.toString(16);
  const even = digits.length % 2 === 0 ? digits : `0${digits}`;
  // A leading one-bit would be a minus sign.
  const unsigned = parseInt(even.slice(0, 2), 16) < 0x80 ? even : `00${even}`;
  const bytes = Uint8Array.fromHex(unsigned);
  return Uint8Array.from([0x02, bytes.length, ...bytes]);
}

function certificatePem(certificate: x509.X509Certificate): string {
  return certificate.toString("pem") + "\n";
}

async function privateKeyPem(key: CryptoKey): Promise<string> {
  const pkcs8 = await crypto.subtle.exportKey("pkcs8", key);
  return x509.PemConverter.encode(pkcs8, "PRIVATE KEY") + "\n";
}
