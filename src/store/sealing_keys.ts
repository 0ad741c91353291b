/**
 * The file with the keys under which secrets are sealed: `secrets.key`, or a systemd credential.
 *
 * The rules are:
 * - each line is a key, 43 letters of base64url; the first seals, all of them open: there is a
 *   second one only while the key is being rotated;
 * - a file that others than its owner may read is refused; a credential is guarded by systemd;
 * - the file belongs to the owner of the site, also if root writes it: the gateway reads it;
 * - it is replaced as a whole, and on the disk before anything relies on it.
 */

import { faultText } from "../core/fault_text.ts";
import { Buffer } from "node:buffer";
import { dirname } from "node:path";
import { StoreError } from "./store_error.ts";
import type { SealingKeyPlaces } from "../config/config.ts";
import { createOwnedFile } from "../config/owned_file.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { SEALING_KEY_BYTES, type SealingKey, sealingKey } from "./sealed_secret.ts";

const HEAD =
  `# Opens the secrets in the database; the first line seals. With both, the secrets can be read.
# Without it they are lost: keep a copy, and keep it apart from the database's backups.
`;

/** The key file cannot be used; the message names it and why, and nothing of its content. */
export class SealingKeyError extends StoreError {
  override readonly name: string = "SealingKeyError";
}

/** The keys that are there, the one that seals first; empty if there is no file. */
export function readSealingKeys({ file, credential }: SealingKeyPlaces): SealingKey[] {
  const passed = credential === undefined ? undefined : readKeyFile(credential, { guarded: true });
  return passed ?? readKeyFile(file, { guarded: false }) ?? [];
}

/** True if the keys come from systemd, and cannot be replaced here. */
export function isCredential({ credential }: SealingKeyPlaces): boolean {
  return credential !== undefined && readKeyFile(credential, { guarded: true }) !== undefined;
}

/** Replaces the keys in the site's file; they are on the disk when this returns. */
export function writeSealingKeys({ file }: SealingKeyPlaces, keys: readonly SealingKey[]): void {
  const lines = keys.map(({ bytes }) => `${Buffer.from(bytes).toString("base64url")}\n`);
  const draft = `${file}.${crypto.randomUUID()}`;
  try {
    createOwnedFile(draft, HEAD + lines.join(""), { mode: 0o600 });
    Deno.renameSync(draft, file);
    syncToDisk(dirname(file));
  } catch (error) {
    throw new SealingKeyError(`Cannot write "${file}": ${(error as Error).message}`);
  }
}

/** A new random key. */
export function createSealingKey(): SealingKey {
  return sealingKey(crypto.getRandomValues(new Uint8Array(SEALING_KEY_BYTES)));
}

function readKeyFile(path: string, { guarded }: { guarded: boolean }): SealingKey[] | undefined {
  let text: string;
  try {
    const { mode } = Deno.statSync(path);
    if (!guarded && ((mode ?? 0) & 0o077) !== 0) {
      throw new SealingKeyError(`Cannot use "${path}": others may read it (chmod 600)`);
    }
    text = readOperatorText(path);
  } catch (error) {
    if (error instanceof SealingKeyError) throw error;
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw new SealingKeyError(`Cannot read "${path}": ${faultText(error)}`);
  }
  return parseKeys(text, path);
}

function parseKeys(text: string, path: string): SealingKey[] {
  const keys = text.split("\n").flatMap((line, i) => {
    if (/^\s*(#|$)/.test(line)) return [];
    const bytes = Buffer.from(line.trim(), "base64url");
    if (bytes.length === SEALING_KEY_BYTES && /^[A-Za-z0-9_-]{43}$/.test(line.trim())) {
      return [sealingKey(bytes)];
    }
    throw new SealingKeyError(`Cannot use "${path}": line ${i + 1} is no key of 32 bytes`);
  });
  if (keys.length > 0) return keys;
  throw new SealingKeyError(`Cannot use "${path}": there is no key in it`);
}

function syncToDisk(path: string): void {
  using file = Deno.openSync(path);
  file.syncSync();
}
