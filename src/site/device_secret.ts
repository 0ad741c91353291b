/** The secret that a device signs with: how one is made, and which texts can be one. */

import { Buffer } from "node:buffer";
import { isSealed } from "../store/sealed_secret.ts";

/** Bytes of a generated secret, before they become base64url text. */
const SECRET_BYTES = 32;

/** Longest secret, in characters. */
const SECRET_MAX_CHARS = 1024;

/** A new secret: 32 random bytes as base64url text. */
export function makeSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
}

/** Why a text cannot be a secret, or undefined if it can. */
export function secretFault(secret: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (secret === "" || secret.length > SECRET_MAX_CHARS || /[\x00-\x1f\x7f]/.test(secret)) {
    return `it must be one line of 1 to ${SECRET_MAX_CHARS} characters`;
  }
  return isSealed(secret) ? "it is a sealed secret: give the secret itself" : undefined;
}
