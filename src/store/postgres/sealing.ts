/**
 * The secrets of a site in PostgreSQL, for those who seal them; see site_sealing.ts.
 *
 * What the server keeps of rows that were overwritten, in its log and its backups, is its own: after
 * sealing, tables are rewritten, and the rest goes with the server's own retention.
 */

import { SECRET_COLUMNS } from "../audited_changes.ts";
import { SEALED_PREFIX, sealedPrefix, type SealingKey } from "../sealed_secret.ts";
import { convertSecret } from "../sealed_site.ts";
import { SEALED_AT_ONCE, type StoredSecrets } from "../site_sealing.ts";
import type { Connection } from "./connection.ts";
import { readMark, writeMark } from "./marks.ts";
import { PostgresRegistry } from "./registry.ts";

/** The secrets. */
export class PostgresSecrets implements StoredSecrets {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async missingKeys(keys: readonly SealingKey[]): Promise<string | undefined> {
    return await new PostgresRegistry(this.#connection, keys).missingSealingKeys();
  }

  async currentKey(): Promise<number> {
    return await readMark((text, values) => this.#connection.query(text, values), "sealing_key");
  }

  async erase(): Promise<readonly string[]> {
    for (const { table } of SECRET_COLUMNS) await this.#connection.query(`VACUUM FULL ${table}`);
    return [];
  }

  async convert(key: SealingKey | undefined, keys: readonly SealingKey[]): Promise<number> {
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
        WHERE substr(${column}, 1, $1) ${key ? "<>" : "="} $2 LIMIT ${SEALED_AT_ONCE} FOR UPDATE`;
      for (let done = SEALED_AT_ONCE; done === SEALED_AT_ONCE;) {
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
