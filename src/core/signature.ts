/**
 * HMAC-SHA256 (RFC 2104, FIPS 180-4) on the runtime's own SHA-256.
 *
 * The rules are:
 * - the key is the UTF-8 bytes of the shared secret's text;
 * - a signature is compared whole and in constant time;
 * - `verify` is total: it returns true or false for any input;
 * - a key shows nothing of itself, however it is written down.
 *
 * Web Crypto would hand each message to another thread and back: 13 µs of CPU time, this takes 3.
 */

import { hash, timingSafeEqual } from "node:crypto";

/** Bytes of an HMAC-SHA256. */
export const SIGNATURE_BYTES = 32;

/** Bytes that SHA-256 takes at once, to which RFC 2104 fills up a key. */
const BLOCK_BYTES = 64;

/** What RFC 2104 has at each byte of the key, inside and outside. */
const INNER_PAD = 0x36;
const OUTER_PAD = 0x5c;

/** Most bytes of an input that are put together in a buffer that is there already. */
const SCRATCH_INPUT_BYTES = 4_032;

const scratch = new Uint8Array(BLOCK_BYTES + SCRATCH_INPUT_BYTES);

/** A device's secret as a key that can sign and verify. */
export class SecretKey {
  readonly #inner: Uint8Array;
  readonly #outer: Uint8Array;

  /** `bytes` may have any length but 0. */
  constructor(bytes: Uint8Array) {
    if (bytes.length === 0) throw new RangeError("A key has at least one byte");
    const block = new Uint8Array(BLOCK_BYTES);
    block.set(bytes.length > BLOCK_BYTES ? Uint8Array.fromHex(sha256(bytes)) : bytes);
    this.#inner = block.map((byte) => byte ^ INNER_PAD);
    this.#outer = block.map((byte) => byte ^ OUTER_PAD);
  }

  /** The HMAC of `input`, as 64 lower-case hex digits. */
  mac(input: Uint8Array): string {
    const inner = sha256(behind(this.#inner, input));
    return sha256(behind(this.#outer, Uint8Array.fromHex(inner)));
  }
}

/** Makes the key of a shared secret; undefined for an empty text, which cannot be a key. */
export function importSecret(sharedSecret: string): SecretKey | undefined {
  const bytes = new TextEncoder().encode(sharedSecret);
  return bytes.length === 0 ? undefined : new SecretKey(bytes);
}

/** The signature of `input`, 64 lower-case hex digits. */
export function sign(key: SecretKey, input: Uint8Array): string {
  return key.mac(input);
}

/** True if `signature` (32 bytes) is the HMAC of `input` under `key`. */
export function verify(key: SecretKey, input: Uint8Array, signature: Uint8Array): boolean {
  if (signature.length !== SIGNATURE_BYTES) return false;
  return timingSafeEqual(Uint8Array.fromHex(key.mac(input)), signature);
}

/** The input behind a block of the key; good until the next call. */
function behind(block: Uint8Array, input: Uint8Array): Uint8Array {
  const length = BLOCK_BYTES + input.length;
  const bytes = length > scratch.length ? new Uint8Array(length) : scratch.subarray(0, length);
  bytes.set(block);
  bytes.set(input, BLOCK_BYTES);
  return bytes;
}

/** Hex digits: to make them takes half the time of a buffer. */
function sha256(bytes: Uint8Array): string {
  return hash("sha256", bytes, "hex");
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
