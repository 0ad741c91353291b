/** What it means for a site that its secrets are sealed, whatever engine has them. */

import { SecretError } from "./device_record.ts";
import {
  isSealed,
  keyIdOf,
  openSecret,
  SEALED_PREFIX,
  sealedPrefix,
  type SealingKey,
  sealSecret,
} from "./sealed_secret.ts";
import { SealingKeyError } from "./sealing_keys.ts";

/** A secret as it is written: `current` is the id of the site's key as a number; 0: plain. */
export function storedForm(
  { deviceId, sharedSecret }: { readonly deviceId: string; readonly sharedSecret: string },
  { current, keys }: { readonly current: number; readonly keys: readonly SealingKey[] },
): string {
  if (isSealed(sharedSecret)) throw new SecretError(`A secret cannot begin ${SEALED_PREFIX}`);
  if (current === 0) return sharedSecret;
  const key = keys.find(({ id }) => Number.parseInt(id, 16) === current);
  if (key) return sealSecret(sharedSecret, deviceId, key);
  throw new SecretError("The secrets are sealed, and secrets.key is not there or has changed");
}

/**
 * Why secrets cannot be opened with these keys; undefined if they can. `prefixes` are those of the
 * sealed secrets that are there, `place` is the store's name.
 */
export function missingKeys(
  { current, prefixes, place }: {
    readonly current: number;
    readonly prefixes: readonly string[];
    readonly place: string;
  },
  keys: readonly SealingKey[],
): string | undefined {
  // In a plain site, a secret that looks sealed is its own device's trouble.
  if (current === 0) return undefined;
  const known = new Set(keys.map(({ id }) => sealedPrefix(id)));
  const own = keys.length === 0 ? [sealedPrefix(current.toString(16).padStart(12, "0"))] : [];
  const needed = [...prefixes, ...own].filter((prefix) => !known.has(prefix));
  const missing = new Set(
    needed.map((prefix) => keyIdOf(prefix) ?? "a form that is not known here"),
  );
  if (missing.size === 0) return undefined;
  const has = keys.length === 0
    ? "there is no secrets.key"
    : `secrets.key has ${keys.map(({ id }) => id).join(", ")}`;
  const names = [...missing].join(", ");
  return `Cannot open the secrets in "${place}": sealed under ${names}, and ${has}`;
}

/** A row with a secret that is to be brought into another form. */
interface SecretRow {
  readonly deviceId: unknown;
  readonly stored: unknown;
}

/** A stored secret in the form that `key` gives; undefined: plain. Throws if it does not open. */
export function convertSecret(
  { deviceId, stored }: SecretRow,
  { key, keys }: { readonly key: SealingKey | undefined; readonly keys: readonly SealingKey[] },
): { readonly deviceId: string; readonly stored: string; readonly converted: string } {
  if (typeof deviceId !== "string" || typeof stored !== "string") throw notText(deviceId);
  const opened = openSecret(stored, deviceId, keys);
  if (opened.kind !== "secret") {
    throw new SealingKeyError(
      `Cannot open the secret of "${deviceId}": it was altered; remove the device, or restore it`,
    );
  }
  const { secret } = opened;
  return { deviceId, stored, converted: key ? sealSecret(secret, deviceId, key) : secret };
}

/** Other programs write there too. */
function notText(deviceId: unknown): SealingKeyError {
  if (typeof deviceId !== "string") {
    return new SealingKeyError("Cannot go on: a row of devices has an id that is not a text");
  }
  return new SealingKeyError(
    `Cannot go on at the secret of "${deviceId}": it is not a text; type device rotate ${deviceId} --secret`,
  );
}
