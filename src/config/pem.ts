/**
 * Certificates, keys and certificate requests as people have them. Pure.
 *
 * The rules are:
 * - PEM (RFC 7468) in any text, with other parts beside the wanted one, or DER;
 * - what comes out is in one form: certificates as PEM, a key as PKCS #8;
 * - a fault says what is there instead, never in a library's words.
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { textOf } from "./operator_file.ts";

/** What was read, or why it cannot be used. */
export type PemResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly fault: string };

/** One part of a PEM text; DER alone is a part without a label. */
export interface PemPart {
  readonly label: string;
  readonly der: Uint8Array<ArrayBuffer>;
}

type KeyType = "pkcs8" | "sec1" | "pkcs1";

const CERTIFICATE_LABELS = ["", "CERTIFICATE", "X509 CERTIFICATE"];
const REQUEST_LABELS = ["", "CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"];
const KEY_TYPES: Readonly<Record<string, readonly KeyType[]>> = {
  "": ["pkcs8", "sec1", "pkcs1"],
  "PRIVATE KEY": ["pkcs8"],
  "EC PRIVATE KEY": ["sec1"],
  "RSA PRIVATE KEY": ["pkcs1"],
};
const PART = /-----BEGIN ([A-Z0-9 ]+)-----((?:[^-]|-(?!----))*)(-----END \1-----)?/g;
const ENCRYPTED = /^Proc-Type:.*ENCRYPTED/m;
const SEQUENCE = 0x30;
const SUPPORTED_KEYS = "use RSA, EC P-256, P-384 or P-521, or Ed25519";

/** The certificates of a file, each as PEM text; at least one. */
export function readCertificates(bytes: Uint8Array): PemResult<readonly [string, ...string[]]> {
  const parts = partsOf(bytes);
  if (!parts.ok) return parts;
  const pems = parts.value.filter(({ label }) => CERTIFICATE_LABELS.includes(label)).map(pemOf);
  const [first, ...rest] = pems;
  if (first === undefined) return fault(`it has no certificate: ${contentsOf(parts.value)}`);
  if (pems.every(isCertificate)) return { ok: true, value: [first, ...rest] };
  return fault("it has a certificate that cannot be read: export it again as PEM");
}

/** The private key of a file as PKCS #8 in PEM. */
export function readPrivateKey(bytes: Uint8Array): PemResult<string> {
  const parts = partsOf(bytes);
  if (!parts.ok) return parts;
  const part = parts.value.find(({ label }) => Object.hasOwn(KEY_TYPES, label));
  if (part === undefined) {
    return fault(
      parts.value.some(({ label }) => label === "ENCRYPTED PRIVATE KEY")
        ? "it is encrypted, and there is no one to ask: openssl pkey -in OLD -out NEW decrypts it"
        : `it has no private key: ${contentsOf(parts.value)}`,
    );
  }
  for (const type of KEY_TYPES[part.label] ?? []) {
    try {
      const key = createPrivateKey({ key: Buffer.from(part.der), format: "der", type });
      return { ok: true, value: key.export({ type: "pkcs8", format: "pem" }) as string };
    } catch {
      // Not of this type.
    }
  }
  return fault(`its private key cannot be read: ${SUPPORTED_KEYS}, not encrypted`);
}

/** The DER of the one certificate request of a file. */
export function readRequest(bytes: Uint8Array): PemResult<Uint8Array<ArrayBuffer>> {
  const parts = partsOf(bytes);
  if (!parts.ok) return parts;
  const [request, second] = parts.value.filter(({ label }) => REQUEST_LABELS.includes(label));
  if (request === undefined) {
    return fault(`it is not a certificate request: ${contentsOf(parts.value)}`);
  }
  return second === undefined
    ? { ok: true, value: request.der }
    : fault("it has more than one certificate request: give each device its own file");
}

/** True if a key is the certificate's own. */
export function isPair(certificatePem: string, keyPem: string): boolean {
  try {
    return new X509Certificate(certificatePem).checkPrivateKey(createPrivateKey(keyPem));
  } catch {
    return false;
  }
}

/** True for X.509 version 1, which has no extensions: the optional version field is left out. */
export function isVersion1(certificatePem: string): boolean {
  const der = new X509Certificate(certificatePem).raw;
  const fields = contentStart(der, contentStart(der, 0));
  return der[fields] !== VERSION_FIELD;
}

const VERSION_FIELD = 0xa0;

/** Where the content of the DER value at `at` begins. */
function contentStart(der: Uint8Array, at: number): number {
  const length = der[at + 1] ?? 0;
  return at + 2 + (length < 0x80 ? 0 : length & 0x7f);
}

/** Every part of a PEM text, or the one of DER. */
export function partsOf(bytes: Uint8Array): PemResult<readonly PemPart[]> {
  const text = textOrNothing(bytes);
  if (!text?.includes("-----BEGIN ")) {
    return bytes[0] === SEQUENCE && text?.startsWith("0 ") !== true
      ? { ok: true, value: [{ label: "", der: Uint8Array.from(bytes) }] }
      : fault(bytes.length === 0 ? "it is empty" : "it is neither PEM nor DER");
  }
  const parts: PemPart[] = [];
  for (const [, label = "", body = "", end] of text.matchAll(PART)) {
    if (end === undefined) return fault(`its part BEGIN ${label} has no END ${label}`);
    const der = derOf(body);
    if (der === undefined) return fault(`its part ${label} is damaged: it is not base64`);
    parts.push({ label: ENCRYPTED.test(body) ? "ENCRYPTED PRIVATE KEY" : label, der });
  }
  return parts.length > 0 ? { ok: true, value: parts } : fault("it is neither PEM nor DER");
}

function textOrNothing(bytes: Uint8Array): string | undefined {
  try {
    return textOf(bytes);
  } catch {
    return undefined;
  }
}

/** Old keys have headers before their base64. */
function derOf(body: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.fromBase64(body.replaceAll(/^[\w-]+:.*$/gm, ""));
  } catch {
    return undefined;
  }
}

function pemOf({ der }: PemPart): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}

function isCertificate(pem: string): boolean {
  try {
    return new X509Certificate(pem).serialNumber !== "";
  } catch {
    return false;
  }
}

function contentsOf(parts: readonly PemPart[]): string {
  return `there is ${[...new Set(parts.map(({ label }) => label || "DER"))].join(", ")}`;
}

function fault(fault: string): { ok: false; fault: string } {
  return { ok: false, fault };
}
