/**
 * The traces of devices that the doctor adds for a moment, in whatever table names devices.
 *
 * Only the audit keeps them, which nothing is ever taken out of, and the replay guard, which forgets
 * every id in its time.
 */

import { isTemporaryId } from "../temporary_devices.ts";
import type { Database } from "./database.ts";
import { Registry } from "./registry.ts";

/** The traces. */
export class TemporaryDevices {
  readonly #store: Database;

  constructor(store: Database) {
    this.#store = store;
  }

  /** The ids of all of them that the store names. */
  list(): string[] {
    const found = this.#tables().flatMap((table) =>
      // "." comes after "-".
      this.#store.prepare(
        `SELECT DISTINCT device_id FROM ${table}
         WHERE device_id > 'doctor-' AND device_id < 'doctor.'`,
      ).all().map((row) => row["device_id"] as string)
    );
    return [...new Set(found)].filter(isTemporaryId);
  }

  /** Removes one from the registry, the outbox, the dead letters and whatever else names it. */
  remove(deviceId: string): void {
    if (!isTemporaryId(deviceId)) throw new Error(`"${deviceId}" is not a temporary device`);
    new Registry(this.#store).remove(deviceId);
    this.#store.transaction(() => {
      // a gateway that runs may be about to send them
      this.#store.prepare(`
        INSERT OR REPLACE INTO outbox_removals
        SELECT sequence, device_id FROM outbox WHERE device_id = ?`).run(deviceId);
      for (const table of this.#tables()) {
        this.#store.prepare(`DELETE FROM ${table} WHERE device_id = ?`).run(deviceId);
      }
    });
  }

  #tables(): string[] {
    return this.#store.prepare(`
      SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c
      WHERE m.type = 'table' AND c.name = 'device_id' AND m.name NOT GLOB 'replay_*'`).all()
      .map((row) => `"${row["name"]}"`);
  }
}
