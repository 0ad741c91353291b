/** Secrets: made, and read from a file. */

import { Buffer } from "node:buffer";
import { isSealed } from "../store/sealed_secret.ts";
import { CommandError, EXIT } from "./terminal.ts";

/** Bytes of a generated secret, before they become base64url text. */
const SECRET_BYTES = 32;

/** Longest secret that is taken from a file, in characters. */
const SECRET_MAX_CHARS = 1024;

/** A new secret: 32 random bytes as base64url text. */
export function makeSecret(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SECRET_BYTES))).toString("base64url");
}

/** A secret from a file; one newline at its end is not part of it. */
export function readSecret(path: string): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : (error as Error).message;
    throw new CommandError(`Cannot read the secret from "${path}": ${reason}`, {
      exit: EXIT.wrongUse,
    });
  }
  const secret = text.replace(/\r?\n$/, "");
  const fault = secretFault(secret);
  if (fault === undefined) return secret;
  throw new CommandError(`Cannot use the secret in "${path}": ${fault}`, { exit: EXIT.wrongUse });
}

/** Why a text cannot be a secret, or undefined if it can. */
export function secretFault(secret: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (secret === "" || secret.length > SECRET_MAX_CHARS || /[\x00-\x1f\x7f]/.test(secret)) {
    return `it must be one line of 1 to ${SECRET_MAX_CHARS} characters`;
  }
  return isSealed(secret) ? "it is one that this gateway has sealed" : undefined;
}
