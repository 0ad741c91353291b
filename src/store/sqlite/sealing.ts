/**
 * The secrets of a site in SQLite, for those who seal them; see site_sealing.ts.
 *
 * At the end the tables are rewritten, free pages overwritten, the log cut off and the copies from
 * before an upgrade removed, so that nothing of before is left.
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
import { SEALED_AT_ONCE, SiteSealing } from "../site_sealing.ts";
import type { Database } from "./database.ts";
import { secondsOf } from "../../core/time.ts";

/** Moments at which a test can end the process. */
type SealingPoint = "key_written" | "marked" | "in_batch" | "batch" | "converted" | "clean";

/** What it works on. */
interface SealingParts {
  readonly store: Database;
  readonly places: SealingKeyPlaces;
  readonly at?: (point: SealingPoint) => void;
}

/** Seals every secret that is not. */
export async function sealSecrets({ places, ...parts }: SealingParts): Promise<Sealed> {
  return await sealingOf(parts).seal(places);
}

/** Seals every secret under a new key, and forgets the old one; returns as `sealSecrets` does. */
export async function rotateSealingKey({ places, ...parts }: SealingParts): Promise<Sealed> {
  return await sealingOf(parts).rotateKey(places);
}

/** Makes every secret plain again; the key file stays, for what was kept elsewhere. */
export async function unsealSecrets(
  { places, ...parts }: SealingParts,
): Promise<{ readonly count: number }> {
  return await sealingOf(parts).unseal(places);
}

function sealingOf({ store, at }: Omit<SealingParts, "places">): SiteSealing {
  return new SiteSealing({
    missingKeys: (keys) => Promise.resolve(missingSealingKeys(store, keys)),
    currentKey: () => Promise.resolve(store.readMark("sealing_key")),
    convert: async (key, keys) => {
      if (key) at?.("key_written");
      const count = await convert(key, keys, { store, ...(at && { at }) });
      if (key) at?.("converted");
      return count;
    },
    erase: async () => {
      await secureErase(store, SECRET_COLUMNS.map(({ table }) => table));
      const removed = removeBackups(store.path);
      at?.("clean");
      return removed;
    },
  });
}

/** Brings every secret into the form that `key` gives; undefined: plain. */
async function convert(
  key: SealingKey | undefined,
  keys: readonly SealingKey[],
  { store, at }: Omit<SealingParts, "places">,
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
    for (let done = SEALED_AT_ONCE; done === SEALED_AT_ONCE;) {
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
     WHERE substr(${column}, 1, ?) ${key ? "<>" : "="} ? LIMIT ${SEALED_AT_ONCE}`,
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
