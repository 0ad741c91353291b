/**
 * Turns the site's secrets from plain to sealed, back, and from one key to the next, in place; the
 * rules are those of the SQLite engine's sealing.ts.
 *
 * What the server keeps of rows that were overwritten, in its log and its backups, is its own: after
 * sealing, tables are rewritten, and the rest goes with the server's own retention.
 */

import type { SealingKeyPlaces } from "../../config/config.ts";
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
import type { Sealed, Sealing } from "../sealing.ts";
import type { Connection, Query } from "./connection.ts";
import { readMark, writeMark } from "./marks.ts";
import { PostgresRegistry } from "./registry.ts";

/** Secrets in one transaction, so that a running gateway gets its turn. */
const BATCH_MAX = 200;

/** The secrets of a site. */
export class PostgresSealing implements Sealing {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async seal(places: SealingKeyPlaces): Promise<Sealed> {
    const known = await this.#knownKeys(places);
    const keys = known.length > 0 ? known : [createSealingKey()];
    if (known.length === 0) writeSealingKeys(places, keys);
    return await this.#convertTo(keys);
  }

  async rotateKey(places: SealingKeyPlaces): Promise<Sealed> {
    const known = await this.#knownKeys(places);
    if (isCredential(places)) {
      throw new SealingKeyError(
        "Cannot replace a systemd credential: put secrets.key into the site",
      );
    }
    const query: Query = (text, values) => this.#connection.query(text, values);
    if (await readMark(query, "sealing_key") === 0) {
      throw new SealingKeyError("Cannot rotate the key: the secrets are not sealed");
    }
    // A second key is what a rotation that was cut short has left: it goes on with the first.
    const keys = known.length > 1 ? known : [createSealingKey(), ...known];
    writeSealingKeys(places, keys);
    const sealed = await this.#convertTo(keys);
    writeSealingKeys(places, keys.slice(0, 1));
    return sealed;
  }

  async unseal(places: SealingKeyPlaces): Promise<{ readonly count: number }> {
    return { count: await this.#convert(undefined, await this.#knownKeys(places)) };
  }

  /** The keys that are there; rejects if the secrets need others. */
  async #knownKeys(places: SealingKeyPlaces): Promise<SealingKey[]> {
    const keys = readSealingKeys(places);
    const fault = await new PostgresRegistry(this.#connection, keys).missingSealingKeys();
    if (fault !== undefined) throw new SealingKeyError(fault);
    return keys;
  }

  async #convertTo(keys: readonly SealingKey[]): Promise<Sealed> {
    const count = await this.#convert(keys[0], keys);
    for (const { table } of SECRET_COLUMNS) await this.#connection.query(`VACUUM FULL ${table}`);
    return { count, keyId: keys[0]!.id, removed: [] };
  }

  /** Brings every secret into the form that `key` gives; undefined: plain. */
  async #convert(key: SealingKey | undefined, keys: readonly SealingKey[]): Promise<number> {
    await this.#connection.transaction(async (query) => {
      await writeMark(query, "sealing_key", key ? Number.parseInt(key.id, 16) : 0);
      await query(
        `INSERT INTO audit_notes (at, author, event, subject, detail, count)
         VALUES (extract(epoch FROM now())::bigint, audit_author(), $1, '', $2, 1)`,
        key ? ["sealing_key_set", key.id] : ["sealing_ended", ""],
      );
    });
    let count = 0;
    for (const { table, column } of SECRET_COLUMNS) {
      const prefix = key ? sealedPrefix(key.id) : SEALED_PREFIX;
      const others = `SELECT device_id, ${column} AS stored FROM ${table}
        WHERE substr(${column}, 1, $1) ${key ? "<>" : "="} $2 LIMIT ${BATCH_MAX} FOR UPDATE`;
      for (let done = BATCH_MAX; done === BATCH_MAX;) {
        done = await this.#connection.transaction(async (query) => {
          const rows = await query(others, [prefix.length, prefix]);
          for (const { device_id: deviceId, stored } of rows) {
            const { converted } = convertSecret({ deviceId, stored }, { key, keys });
            await query(`UPDATE ${table} SET ${column} = $1 WHERE device_id = $2`, [
              converted,
              deviceId,
            ]);
          }
          return rows.length;
        });
        count += done;
      }
    }
    return count;
  }
}
