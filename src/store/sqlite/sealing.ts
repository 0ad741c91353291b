/**
 * Turns a site's secrets from plain to sealed, back, and from one key to the next, in place.
 *
 * The rules are:
 * - every secret says for itself whether it is sealed and under which key, so any mixture opens, and
 *   whatever is cut short is finished by doing it again;
 * - a key is on the disk before the first secret is sealed under it, and leaves its file only when
 *   no secret needs it;
 * - the mark `sealing_key` comes first: from then on the store takes nothing that is not sealed
 *   under that key, from no program;
 * - at the end the tables are rewritten, free pages overwritten, the log cut off and the copies
 *   from before an upgrade removed, so that nothing of before is left.
 */

import type { StatementSync } from "node:sqlite";
import type { SealingKeyPlaces } from "../../config/config.ts";
import type { Sealed } from "../sealing.ts";
import { removeBackups } from "./backup.ts";
import { missingSealingKeys } from "./device_secrets.ts";
import { secureErase } from "./secure_erase.ts";
import { SECRET_COLUMNS } from "../audited_changes.ts";
import { SEALED_PREFIX, sealedPrefix, type SealingKey } from "../sealed_secret.ts";
import { convertSecret } from "../sealed_site.ts";
import {
  createSealingKey,
  isCredential,
  readSealingKeys,
  SealingKeyError,
  writeSealingKeys,
} from "../sealing_keys.ts";
import type { Database } from "./database.ts";
import { secondsOf } from "../../core/time.ts";

/** Secrets in one transaction, so that a running gateway gets its turn. */
const BATCH_MAX = 200;

/** Moments at which a test can end the process. */
type SealingPoint = "key_written" | "marked" | "in_batch" | "batch" | "converted" | "clean";

/** What it works on. */
interface SealingParts {
  readonly store: Database;
  readonly places: SealingKeyPlaces;
  readonly at?: (point: SealingPoint) => void;
}

/** Seals every secret that is not. */
export async function sealSecrets(parts: SealingParts): Promise<Sealed> {
  const { store, places } = parts;
  const known = readSealingKeys(places);
  refuseForeign(store, known);
  const keys = known.length > 0 ? known : [createSealingKey()];
  if (known.length === 0) writeSealingKeys(places, keys);
  return await convertTo(keys[0]!, keys, parts);
}

/** Seals every secret under a new key, and forgets the old one; returns as `sealSecrets` does. */
export async function rotateSealingKey(parts: SealingParts): Promise<Sealed> {
  const { store, places } = parts;
  const known = readSealingKeys(places);
  refuseForeign(store, known);
  if (isCredential(places)) {
    throw new SealingKeyError("Cannot replace a systemd credential: put secrets.key into the site");
  }
  if (store.readMark("sealing_key") === 0) {
    throw new SealingKeyError("Cannot rotate the key: the secrets are not sealed");
  }
  // A second key is what a rotation that was cut short has left: it goes on with the first.
  const keys = known.length > 1 ? known : [createSealingKey(), ...known];
  writeSealingKeys(places, keys);
  const converted = await convertTo(keys[0]!, keys, parts);
  writeSealingKeys(places, keys.slice(0, 1));
  return converted;
}

/** Makes every secret plain again; the key file stays, for what was kept elsewhere. */
export async function unsealSecrets(parts: SealingParts): Promise<{ count: number }> {
  const keys = readSealingKeys(parts.places);
  refuseForeign(parts.store, keys);
  return { count: await convert(undefined, keys, parts) };
}

async function convertTo(
  key: SealingKey,
  keys: readonly SealingKey[],
  parts: SealingParts,
): Promise<Sealed> {
  parts.at?.("key_written");
  const count = await convert(key, keys, parts);
  parts.at?.("converted");
  await secureErase(parts.store, SECRET_COLUMNS.map(({ table }) => table));
  const removed = removeBackups(parts.store.path);
  parts.at?.("clean");
  return { count, keyId: key.id, removed };
}

function refuseForeign(store: Database, keys: readonly SealingKey[]): void {
  const fault = missingSealingKeys(store, keys);
  if (fault !== undefined) throw new SealingKeyError(fault);
}

/** Brings every secret into the form that `key` gives; undefined: plain. */
async function convert(
  key: SealingKey | undefined,
  keys: readonly SealingKey[],
  { store, at }: SealingParts,
): Promise<number> {
  store.transaction(() => {
    store.writeMark("sealing_key", key ? Number.parseInt(key.id, 16) : 0);
    const [event, detail] = key ? ["sealing_key_set", key.id] : ["sealing_ended", ""];
    store.audit.note({ at: secondsOf(Date.now()), event, subject: "", detail, count: 1 });
  });
  at?.("marked");
  let count = 0;
  for (const { table, column } of SECRET_COLUMNS) {
    const others = othersIn({ table, column }, key, store);
    const update = store.prepare(
      `UPDATE ${table} SET ${column} = ? WHERE device_id = ? AND ${column} = ?`,
    );
    for (let done = BATCH_MAX; done === BATCH_MAX;) {
      const beganMs = performance.now();
      done = store.transaction(() => {
        const changed = convertBatch(others(), { key, keys, update });
        at?.("in_batch");
        return changed;
      });
      count += done;
      at?.("batch");
      await new Promise((resolve) => setTimeout(resolve, performance.now() - beganMs));
    }
  }
  return count;
}

/** The next secrets that do not have the form that `key` gives. */
function othersIn(
  { table, column }: { table: string; column: string },
  key: SealingKey | undefined,
  store: Database,
) {
  const prefix = key ? sealedPrefix(key.id) : SEALED_PREFIX;
  const select = store.prepare(
    `SELECT device_id, ${column} AS stored FROM ${table}
     WHERE substr(${column}, 1, ?) ${key ? "<>" : "="} ? LIMIT ${BATCH_MAX}`,
  );
  return () => select.all(prefix.length, prefix);
}

function convertBatch(
  rows: ReturnType<StatementSync["all"]>,
  options: {
    readonly key: SealingKey | undefined;
    readonly keys: readonly SealingKey[];
    readonly update: StatementSync;
  },
): number {
  for (const { device_id: deviceId, stored: from } of rows) {
    const { converted, stored, ...row } = convertSecret({ deviceId, stored: from }, options);
    options.update.run(converted, row.deviceId, stored);
  }
  return rows.length;
}
