/**
 * A device's secret as the store has it once a site is sealed: AES-256-GCM (NIST SP 800-38D).
 *
 * The rules are:
 * - the form is `$sealed$1$`, the key's id, `$` and base64url of nonce, ciphertext and tag; whatever
 *   begins with `$sealed$` is never taken for a secret;
 * - the device id is the associated data: a secret that is moved to another device does not open;
 * - each sealing has a random nonce of its own.
 *
 * It is synchronous, unlike Web Crypto, because sealing happens inside a transaction.
 */

import { Buffer } from "node:buffer";
import { createCipheriv, createDecipheriv, createHash, randomBytes } from "node:crypto";

/** What every sealed secret begins with, of whatever version. */
export const SEALED_PREFIX = "$sealed$";

/** Bytes of a key for AES-256. */
export const SEALING_KEY_BYTES = 32;

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID_DIGITS = 12;
const SEALED = /^\$sealed\$1\$([0-9a-f]{12})\$([A-Za-z0-9_-]+)$/;

/** A key under which secrets are sealed. */
export interface SealingKey {
  /** Twelve hex digits that tell keys apart and say nothing of them; never all zero. */
  readonly id: string;
  readonly bytes: Uint8Array;
}

/** What a stored text turned out to be. */
type Opened =
  | { readonly kind: "secret"; readonly secret: string }
  /** Sealed under a key that is not here; undefined if the form is not even known. */
  | { readonly kind: "foreign_key"; readonly keyId: string | undefined }
  /** Altered, cut short or moved here from another device. */
  | { readonly kind: "damaged" };

/** The key of 32 random bytes. */
export function sealingKey(bytes: Uint8Array): SealingKey {
  const digest = createHash("sha256").update("secure-iot-gateway sealing key\n").update(bytes);
  const id = digest.digest("hex").slice(0, KEY_ID_DIGITS);
  return { id: /^0+$/.test(id) ? id.replace(/0$/, "1") : id, bytes };
}

/** True for a text that is no secret itself, but a sealed one. */
export function isSealed(stored: string): boolean {
  return stored.startsWith(SEALED_PREFIX);
}

/** What a secret begins with that is sealed under the key of this id. */
export function sealedPrefix(keyId: string): string {
  return `${SEALED_PREFIX}1$${keyId}$`;
}

/** The id of the key in such a beginning; undefined if it is of another form. */
export function keyIdOf(prefix: string): string | undefined {
  return /^\$sealed\$1\$([0-9a-f]{12})\$$/.exec(prefix)?.[1];
}

/** The stored form of a secret. */
export function sealSecret(secret: string, deviceId: string, key: SealingKey): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(Buffer.from(deviceId));
  const sealed = [nonce, cipher.update(secret, "utf8"), cipher.final(), cipher.getAuthTag()];
  return sealedPrefix(key.id) + Buffer.concat(sealed).toString("base64url");
}

/** Opens a stored text with whichever of `keys` it was sealed under; a plain one is its own secret. */
export function openSecret(stored: string, deviceId: string, keys: readonly SealingKey[]): Opened {
  if (!isSealed(stored)) return { kind: "secret", secret: stored };
  const [, keyId, text = ""] = SEALED.exec(stored) ?? [];
  const key = keys.find(({ id }) => id === keyId);
  if (key === undefined) return { kind: "foreign_key", keyId };
  const sealed = Buffer.from(text, "base64url");
  if (sealed.length < NONCE_BYTES + TAG_BYTES) return { kind: "damaged" };
  const nonce = sealed.subarray(0, NONCE_BYTES);
  const decipher = createDecipheriv(CIPHER, key.bytes, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(Buffer.from(deviceId));
  decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  try {
    const opened = [decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)), decipher.final()];
    return { kind: "secret", secret: Buffer.concat(opened).toString("utf8") };
  } catch {
    return { kind: "damaged" };
  }
}
