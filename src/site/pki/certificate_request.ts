/** Certificate requests (PKCS #10) of devices that keep their keys. */

import "reflect-metadata";
import { Buffer } from "node:buffer";
import { createPublicKey, type KeyObject } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { readRequest } from "../../config/pem.ts";

/** The public key of a checked request. */
export type PublicKey = x509.PublicKey;

/** A request for a certificate that was checked. */
type RequestResult =
  | { readonly ok: true; readonly publicKey: PublicKey }
  | { readonly ok: false; readonly fault: string };

const RSA_MIN_BITS = 2_048;
const CURVES = ["prime256v1", "secp384r1", "secp521r1"];

/**
 * Reads a PKCS #10 request: only its key is taken. The request must be signed with that key, and
 * the key must be RSA of 2048 bits and more, EC P-256, P-384 or P-521, or Ed25519.
 */
export async function readCertificateRequest(bytes: Uint8Array): Promise<RequestResult> {
  const read = readRequest(bytes);
  if (!read.ok) return read;
  const request = requestOf(read.value);
  if (request === undefined) {
    return { ok: false, fault: "it is damaged, or no certificate request" };
  }
  const fault = keyFault(request.publicKey) ?? signatureFault(request);
  if (fault !== undefined) return { ok: false, fault };
  return await request.verify().catch(() => false)
    ? { ok: true, publicKey: request.publicKey }
    : { ok: false, fault: "it is not signed with its own key" };
}

function requestOf(der: Uint8Array<ArrayBuffer>): x509.Pkcs10CertificateRequest | undefined {
  try {
    return new x509.Pkcs10CertificateRequest(der);
  } catch {
    return undefined;
  }
}

function signatureFault({ signatureAlgorithm }: x509.Pkcs10CertificateRequest): string | undefined {
  const isWeak = /SHA-1$|MD/.test(signatureAlgorithm.hash?.name ?? "");
  return isWeak ? "it is signed over a hash that can be forged" : undefined;
}

function keyFault({ rawData }: x509.PublicKey): string | undefined {
  const key = publicKeyOf(rawData);
  const { modulusLength = 0, namedCurve = "" } = key?.asymmetricKeyDetails ?? {};
  switch (key?.asymmetricKeyType) {
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
      return "its key is not RSA, EC P-256, P-384 or P-521, or Ed25519";
  }
}

function publicKeyOf(spki: ArrayBuffer): KeyObject | undefined {
  try {
    return createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch {
    return undefined;
  }
}
