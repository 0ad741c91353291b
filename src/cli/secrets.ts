/** `secrets seal`, `unseal` and `rotate-key`: whether the secrets in the database are encrypted. */

import { counted } from "../core/counted.ts";
import type { SealingKeyPlaces } from "../config/config.ts";
import type { Sealing } from "../store/sealing.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { note, print } from "./terminal.ts";

/** Seals every secret of a site, in place, also beside a running gateway. */
export async function seal(options: JsonOption): Promise<void> {
  const { count, keyId, keyFile, removed } = await withSealing(
    options,
    (sealing, keys) => sealing.seal(keys),
  );
  if (options.json) return printJson({ count, keyId, keyFile, removed });
  print(`Sealed ${counted(count, "secret")} under key ${keyId}`);
  sayRemoved(removed);
  note(
    `hint: Keep a copy of ${keyFile}, away from the database's backups; older backups are not sealed`,
  );
}

/** Makes every secret of a site plain again. */
export async function unseal(options: JsonOption): Promise<void> {
  const { count, keyFile } = await withSealing(options, (sealing, keys) => sealing.unseal(keys));
  if (options.json) return printJson({ count, keyFile });
  print(`Unsealed ${counted(count, "secret")}`);
  note(`hint: ${keyFile} is still there, for backups of the sealed database`);
}

/** Seals every secret of a site under a new key. */
export async function rotateKey(options: JsonOption): Promise<void> {
  const { count, keyId, keyFile, removed } = await withSealing(
    options,
    (sealing, keys) => sealing.rotateKey(keys),
  );
  if (options.json) return printJson({ count, keyId, keyFile, removed });
  sayRemoved(removed);
  print(`Sealed ${counted(count, "secret")} under key ${keyId}; the old key is no longer used`);
}

async function withSealing<T>(
  options: SiteOption,
  work: (sealing: Sealing, keys: SealingKeyPlaces) => Promise<T>,
) {
  const config = configOf(layoutOf(options));
  const keys = config.store.sealingKey;
  const done = await withStore(config, ({ sealing }) => work(sealing, keys));
  return { ...done, keyFile: keys.file };
}

function sayRemoved(backups: readonly string[]): void {
  for (const path of backups) print(`Removed ${path}: it had the secrets as they were before`);
}
