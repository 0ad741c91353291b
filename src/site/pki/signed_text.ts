/** Texts that authorities sign for machines that know them, and have no key of theirs. */

import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { type Authority, fingerprintOf } from "./authority.ts";

/** What an authority has signed. */
export interface TextSignature {
  /** Fingerprint of the authority. */
  readonly issuer: string;
  /** Base64. */
  readonly signature: string;
}

/** No certificate and no list that an authority signs begins with this. */
const PREFIX = "secure-iot-gateway broker lists\n";

/** By the curve of the key, as certificates are signed with it. */
const EC_HASHES: Readonly<Record<string, string>> = {
  "P-256": "SHA-256",
  "P-384": "SHA-384",
  "P-521": "SHA-512",
};

/** Signs a text. */
export async function signText(authority: Authority, text: string): Promise<TextSignature> {
  const { algorithm, key, certificatePem } = authority;
  const signature = await crypto.subtle.sign(algorithm, key, signedBytes(text));
  return {
    issuer: fingerprintOf(certificatePem),
    signature: new Uint8Array(signature).toBase64(),
  };
}

/** True if one of the signatures is that of one of the authorities. */
export async function isSignedBy(
  certificates: readonly string[],
  text: string,
  signatures: readonly TextSignature[],
): Promise<boolean> {
  for (const pem of certificates) {
    const issuer = fingerprintOf(pem);
    for (const one of signatures) {
      if (one.issuer === issuer && await verifies(pem, text, one.signature)) return true;
    }
  }
  return false;
}

async function verifies(pem: string, text: string, signature: string): Promise<boolean> {
  try {
    const { publicKey } = new x509.X509Certificate(pem);
    const { name, namedCurve } = publicKey.algorithm as { name: string; namedCurve?: string };
    const hash = namedCurve === undefined ? "SHA-256" : EC_HASHES[namedCurve];
    if (hash === undefined) return false;
    const algorithm = {
      ...{ name, hash },
      ...(namedCurve !== undefined && { namedCurve }),
    };
    const key = await publicKey.export(algorithm, ["verify"]);
    const bytes = Uint8Array.fromBase64(signature);
    return await crypto.subtle.verify(algorithm, key, bytes, signedBytes(text));
  } catch {
    return false; // what cannot be read is not signed
  }
}

function signedBytes(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(PREFIX + text);
}
