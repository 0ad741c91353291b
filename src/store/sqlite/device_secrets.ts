/**
 * The devices' secrets in the database: rotation, their uses, and the form in which they are written.
 *
 * The rules are:
 * - after a rotation the previous secret is good until its overlap ends, and no secret before it;
 * - in a site that is sealed, a secret is written sealed under the site's current key, or not at all.
 */

import type { StatementSync } from "node:sqlite";
import type { DeviceWithSecret, SecretUse } from "../device_record.ts";
import { SEALED_PREFIX, type SealingKey } from "../sealed_secret.ts";
import { missingKeys, storedForm } from "../sealed_site.ts";
import { SECRET_COLUMNS } from "../audited_changes.ts";
import type { Database } from "./database.ts";
import { boundedColumn } from "./device_columns.ts";

/** The secrets; what writes belongs inside a transaction. */
export class DeviceSecrets {
  readonly #store: Database;
  readonly #sealingKeys: readonly SealingKey[];
  readonly #replace: StatementSync;
  readonly #keepPrevious: StatementSync;
  readonly #endOverlap: StatementSync;
  readonly #uses: StatementSync;
  readonly #recordUse: StatementSync;
  readonly #removals: readonly StatementSync[];

  constructor(store: Database, sealingKeys: readonly SealingKey[]) {
    this.#store = store;
    this.#sealingKeys = sealingKeys;
    this.#replace = store.prepare("UPDATE devices SET shared_secret = ? WHERE device_id = ?");
    this.#keepPrevious = store.prepare(
      "INSERT OR REPLACE INTO device_secrets VALUES (?, ?, ?, ?, ?)",
    );
    this.#endOverlap = store.prepare(
      "UPDATE device_secrets SET previous_until = min(previous_until, ?) WHERE device_id = ?",
    );
    this.#uses = store.prepare(
      `SELECT device_id, generation, ${boundedColumn("last_used")} AS last_used
       FROM device_secret_uses WHERE device_id = coalesce(?, device_id)`,
    );
    this.#recordUse = store.prepare(`
      INSERT OR REPLACE INTO device_secret_uses SELECT ?1, ?2, ?3
      WHERE EXISTS (SELECT 1 FROM devices WHERE device_id = ?1)`);
    this.#removals = ["device_secrets", "device_secret_uses"].map((table) =>
      store.prepare(`DELETE FROM ${table} WHERE device_id = ?`)
    );
  }

  /** Gives a device a new secret; see `Registry.rotateSecret`. */
  rotate(device: DeviceWithSecret, sharedSecret: string, { until }: { until: number }): void {
    const { deviceId, generation, previous } = device;
    const unused = !this.uses(deviceId).some((use) => use.generation === generation);
    const kept = previous && unused ? previous : device;
    this.#replace.run(this.storedForm({ deviceId, sharedSecret }), deviceId);
    this.#keepPrevious.run(
      deviceId,
      generation + 1,
      this.storedForm({ deviceId, sharedSecret: kept.sharedSecret }),
      kept.generation,
      until,
    );
  }

  /** The previous secret is good until `now`, Unix seconds, at most. */
  endOverlap(deviceId: string, now: number): void {
    this.#endOverlap.run(now - 1, deviceId);
  }

  /** When each secret of a device was last used, or of all devices. */
  uses(deviceId?: string): SecretUse[] {
    return this.#uses.all(deviceId ?? null).map((row) => ({
      deviceId: row["device_id"] as string,
      generation: row["generation"] as number,
      lastUsed: row["last_used"] as number,
    }));
  }

  /** Records when secrets were used, except for devices that are gone by now. */
  recordUses(uses: readonly SecretUse[]): void {
    for (const { deviceId, generation, lastUsed } of uses) {
      this.#recordUse.run(deviceId, generation, lastUsed);
    }
  }

  /** Removes what is known of a device's secrets besides the newest, which is in its record. */
  remove(deviceId: string): void {
    for (const removal of this.#removals) removal.run(deviceId);
  }

  /** A secret as it is written, under the key that is the site's at this moment. */
  storedForm({ deviceId, sharedSecret }: { deviceId: string; sharedSecret: string }): string {
    const current = this.#store.readMark("sealing_key");
    return storedForm({ deviceId, sharedSecret }, { current, keys: this.#sealingKeys });
  }
}

/** Why the secrets of a store cannot be opened with these keys; undefined if they can. */
export function missingSealingKeys(
  store: Database,
  keys: readonly SealingKey[],
): string | undefined {
  const prefixes = SECRET_COLUMNS.flatMap(({ table, column }) =>
    store.prepare(
      `SELECT DISTINCT substr(${column}, 1, 23) AS prefix FROM ${table}
       WHERE substr(${column}, 1, 8) = '${SEALED_PREFIX}'`,
    ).all().map((row) => row["prefix"] as string)
  );
  return missingKeys({ current: store.readMark("sealing_key"), prefixes, place: store.path }, keys);
}
