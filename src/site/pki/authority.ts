/**
 * X.509 in process: authorities, what they issue, and revocation lists.
 *
 * The rules are:
 * - what we make is EC P-256; an authority of the operator signs with the key that it has;
 *   keys leave as PKCS#8 PEM.
 * - An authority signs end certificates and revocation lists, and no further authority.
 * - A certificate is good for one role, server or client, never both.
 * - Nothing outlives its authority.
 */

import "reflect-metadata";
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import * as x509 from "@peculiar/x509";
import type { PublicKey } from "./certificate_request.ts";
import { DAY_MS, secondsOf } from "../../core/time.ts";

/** How long an authority and its revocation list are valid, in days: 20 years. */
const AUTHORITY_DAYS = 20 * 365 + 5;

/** How long an end certificate is valid, in days: 10 years, since an isolated site has no one to renew it. */
const CERTIFICATE_DAYS = 10 * 365 + 2;

/** Random bytes in a serial number. */
export const SERIAL_BYTES = 16;

/** How far notBefore is set back, in days: the clocks of devices lag. */
const BACKDATED_DAYS = 1;

/** How an authority signs, in the words of Web Cryptography. */
interface SigningAlgorithm {
  readonly name: string;
  readonly namedCurve?: string;
  readonly hash: string;
}

/** An authority, or why its certificate or key cannot be one's. */
type OpenResult =
  | { readonly ok: true; readonly authority: Authority }
  | { readonly ok: false; readonly fault: string };

/** Who can issue: a CA certificate and its private key. */
export interface Authority {
  readonly certificate: x509.X509Certificate;
  readonly key: CryptoKey;
  readonly algorithm: SigningAlgorithm;
  readonly certificatePem: string;
  readonly keyPem: string;
}

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

/** From when on a certificate is valid, and for how many days; as long as ours are, if none are given. */
interface Lifetime {
  readonly nowMs: number;
  readonly days?: number;
}

/** The key that is made for a certificate; EC P-256 or RSA of 2048 bits. */
export type KeyType = "ec" | "rsa";

const CRL_NUMBER_OID = "2.5.29.20";
const CLIENT_ROLE = [new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.clientAuth])];
const EC_ALGORITHMS: Readonly<Record<string, SigningAlgorithm>> = {
  prime256v1: { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" },
  secp384r1: { name: "ECDSA", namedCurve: "P-384", hash: "SHA-384" },
  secp521r1: { name: "ECDSA", namedCurve: "P-521", hash: "SHA-512" },
};
const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2_048,
  publicExponent: Uint8Array.of(1, 0, 1),
};
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
    algorithm: ALGORITHM,
    certificatePem: certificatePem(certificate),
    keyPem: await privateKeyPem(keys.privateKey),
  };
}

/** Reads an authority back; the two must be a pair. */
export async function openAuthority(
  pem: { certificatePem: string; keyPem: string },
): Promise<OpenResult> {
  const certificate = new x509.X509Certificate(pem.certificatePem);
  const fault = authorityFault(certificate);
  if (fault !== undefined) return { ok: false, fault };
  const algorithm = signingAlgorithmOf(createPrivateKey(pem.keyPem));
  if (algorithm === undefined) {
    return {
      ok: false,
      fault: "its key cannot sign: use RSA, EC P-256, P-384 or P-521, or Ed25519",
    };
  }
  const pkcs8 = x509.PemConverter.decodeFirst(pem.keyPem);
  const key = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]);
  return { ok: true, authority: { ...pem, certificate, key, algorithm } };
}

/** What keeps a certificate from signing others and revocation lists. */
function authorityFault(certificate: x509.X509Certificate): string | undefined {
  if (!certificate.getExtension(x509.BasicConstraintsExtension)?.ca) {
    return "it is not an authority: it needs basicConstraints=CA:TRUE";
  }
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages;
  const needed = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign;
  return usages === undefined || (usages & needed) === needed
    ? undefined
    : "its keyUsage must allow both keyCertSign and cRLSign";
}

/** How a key signs; undefined for one that we cannot use. */
function signingAlgorithmOf(key: KeyObject): SigningAlgorithm | undefined {
  switch (key.asymmetricKeyType) {
    case "rsa":
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
    case "ec":
      return EC_ALGORITHMS[key.asymmetricKeyDetails?.namedCurve ?? ""];
    case "ed25519":
      return { name: "Ed25519", hash: "SHA-512" };
    default:
      return undefined;
  }
}

/** Issues a certificate for a TLS server that answers to `hosts`: DNS names, IPv4 and IPv6 addresses. */
export function issueServerCertificate(
  authority: Authority,
  options: Lifetime & { commonName: string; hosts: readonly string[]; keyType?: KeyType },
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
  options: Lifetime & { commonName: string; serial?: string; keyType?: KeyType },
): Promise<IssuedCertificate> {
  return issue(authority, {
    ...options,
    roleExtensions: CLIENT_ROLE,
  });
}

/** Issues a client's certificate for a key that the client keeps to itself. */
export function certifyClient(
  authority: Authority,
  options: { commonName: string; nowMs: number; days?: number; publicKey: PublicKey },
): Promise<EndCertificate> {
  return certify(authority, { ...options, roleExtensions: CLIENT_ROLE });
}

/** Makes the authority's revocation list as PEM; `number` must grow from one list to the next. */
export async function createRevocationList(
  authority: Authority,
  options: { revoked: readonly RevokedCertificate[]; number: number; nowMs: number },
): Promise<string> {
  const list = await x509.X509CrlGenerator.create({
    issuer: authority.certificate.subjectName,
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
    signingAlgorithm: authority.algorithm,
    signingKey: authority.key,
  });
  // OpenSSL, and so Mosquitto, knows the list by this label only.
  return x509.PemConverter.encode(list.rawData, "X509 CRL") + "\n";
}

/** Reads a certificate alone: whom it can verify, not whom it can sign. */
export function openCertificate(pem: string): x509.X509Certificate {
  return new x509.X509Certificate(pem);
}

/** What the lists in a PEM text that an authority has signed name; undefined if it can read none. */
export async function revokedBy(
  authority: x509.X509Certificate,
  pem: string,
): Promise<RevokedCertificate[] | undefined> {
  let revoked: RevokedCertificate[] | undefined;
  for (const list of listsOf(pem)) {
    if (!await list.verify({ publicKey: authority.publicKey })) continue;
    revoked ??= [];
    for (const { serialNumber, revocationDate } of list.entries) {
      revoked.push({ serial: serialNumber, revokedAtMs: revocationDate.getTime() });
    }
  }
  return revoked;
}

/** The lists of a PEM text; none if they cannot be read. */
function listsOf(pem: string): x509.X509Crl[] {
  try {
    return x509.PemConverter.decode(pem).map((der) => new x509.X509Crl(der));
  } catch {
    return [];
  }
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
  readonly keyType?: KeyType;
  readonly roleExtensions: x509.Extension[];
}

async function issue(
  authority: Authority,
  options: CertificateOptions,
): Promise<IssuedCertificate> {
  const keys = await generateKeys(options.keyType);
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
    // In its own encoding: not every TLS library compares names as texts (RFC 5280 §4.1.2.6).
    issuer: authority.certificate.subjectName,
    notBefore,
    notAfter: new Date(Math.min(notAfter.getTime(), authority.certificate.notAfter.getTime())),
    publicKey,
    signingKey: authority.key,
    signingAlgorithm: authority.algorithm,
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

function generateKeys(type: KeyType = "ec"): Promise<CryptoKeyPair> {
  return crypto.subtle.generateKey(type === "rsa" ? RSA : ALGORITHM, true, ["sign", "verify"]);
}

function randomSerial(): string {
  return serialFrom(crypto.getRandomValues(new Uint8Array(SERIAL_BYTES)));
}

function distinguishedName(commonName: string): x509.JsonName {
  return [{ CN: [commonName] }];
}

/** X.509 counts in whole seconds. */
function validity(nowMs: number, days: number): { notBefore: Date; notAfter: Date } {
  const nowSecondMs = secondsOf(nowMs) * 1000;
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
