/** The traces of devices that the doctor adds for a moment, in whatever table names devices. */

import { isTemporaryId, type TemporaryDevices } from "../temporary_devices.ts";
import { type Connection, SCHEMA_NAME } from "./connection.ts";
import { removeDevice } from "./registry.ts";

/** The traces. */
export class PostgresTemporaryDevices implements TemporaryDevices {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async list(): Promise<string[]> {
    const found = new Set<string>();
    for (const table of await this.#tables()) {
      // "." comes after "-"
      const rows = await this.#connection.query(
        `SELECT DISTINCT device_id FROM ${table} WHERE device_id > 'doctor-' AND device_id < 'doctor.'`,
      );
      for (const row of rows) found.add(row["device_id"] as string);
    }
    return [...found].filter(isTemporaryId);
  }

  async remove(deviceId: string): Promise<void> {
    if (!isTemporaryId(deviceId)) throw new Error(`"${deviceId}" is not a temporary device`);
    const tables = await this.#tables();
    await this.#connection.transaction(async (query) => {
      await removeDevice(query, deviceId);
      // gateways that run may be about to send them
      await query(
        `INSERT INTO outbox_changes (node, sequence, device_id, is_callback, is_added)
         SELECT node, sequence, device_id, command_state IS NOT NULL, false FROM outbox
         WHERE device_id = $1`,
        [deviceId],
      );
      for (const table of tables) {
        await query(`DELETE FROM ${table} WHERE device_id = $1`, [deviceId]);
      }
    });
  }

  /** But for those that forget by themselves, and the gateway's orders. */
  async #tables(): Promise<string[]> {
    const rows = await this.#connection.query(
      `SELECT quote_ident(table_name) AS name FROM information_schema.columns
       WHERE table_schema = $1 AND column_name = 'device_id' AND table_name NOT LIKE 'replay%'
         AND table_name <> 'outbox_changes'`,
      [SCHEMA_NAME],
    );
    return rows.map((row) => row["name"] as string);
  }
}
