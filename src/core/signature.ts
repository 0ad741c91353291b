/**
 * HMAC-SHA256 (RFC 2104, FIPS 180-4) by Web Crypto.
 *
 * The rules are:
 * - the key is the UTF-8 bytes of the shared secret's text;
 * - a signature is compared whole and in constant time, by `crypto.subtle.verify`;
 * - `verify` is total: it returns true or false for any input.
 */

/** Bytes of an HMAC-SHA256. */
export const SIGNATURE_BYTES = 32;

const HMAC_SHA256 = { name: "HMAC", hash: "SHA-256" };

/** A device's secret as a key that can sign and verify, and cannot be exported. */
export type SecretKey = CryptoKey;

/** Makes the key of a shared secret; undefined for an empty text, which cannot be a key. */
export async function importSecret(sharedSecret: string): Promise<SecretKey | undefined> {
  const bytes = new TextEncoder().encode(sharedSecret);
  return bytes.length === 0 ? undefined : await importKey(bytes);
}

/** Makes a key from its bytes; there must be at least one. */
export async function importKey(bytes: Uint8Array<ArrayBuffer>): Promise<SecretKey> {
  return await crypto.subtle.importKey("raw", bytes, HMAC_SHA256, false, ["sign", "verify"]);
}

/** The signature of `input`, 64 lower-case hex digits. */
export async function sign(key: SecretKey, input: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, input)).toHex();
}

/** True if `signature` (32 bytes) is the HMAC of `input` under `key`. */
export async function verify(
  key: SecretKey,
  input: Uint8Array<ArrayBuffer>,
  signature: Uint8Array<ArrayBuffer>,
): Promise<boolean> {
  if (signature.length !== SIGNATURE_BYTES) return false;
  try {
    return await crypto.subtle.verify("HMAC", key, signature, input);
  } catch {
    return false;
  }
}

/** The bytes of a text of hex digits in either case; undefined for anything else. */
export function bytesOfHex(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (text.length % 2 !== 0) return undefined;
  const bytes = new Uint8Array(text.length / 2);
  for (let i = 0; i < bytes.length; i++) {
    const high = NIBBLES[text.charCodeAt(2 * i)] ?? NOT_HEX;
    const low = NIBBLES[text.charCodeAt(2 * i + 1)] ?? NOT_HEX;
    if (high === NOT_HEX || low === NOT_HEX) return undefined;
    bytes[i] = high << 4 | low;
  }
  return bytes;
}

const NOT_HEX = 0xff;

/** The value of each ASCII character as a hex digit. */
const NIBBLES = Uint8Array.from({ length: 128 }, (_, code) => {
  const digit = "0123456789abcdef".indexOf(String.fromCharCode(code).toLowerCase());
  return digit < 0 ? NOT_HEX : digit;
});
