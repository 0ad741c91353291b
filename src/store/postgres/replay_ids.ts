/** The ids of messages that were accepted, for those who only look. */

import type { RememberedId, ReplayIds } from "../store.ts";
import type { Connection, Query } from "./connection.ts";
import { SLOT_SECONDS } from "./functions.ts";
import { readMark } from "./marks.ts";

/** The ids. */
export class PostgresReplayIds implements ReplayIds {
  readonly #query: Query;

  constructor(connection: Connection) {
    this.#query = (text, values) => connection.query(text, values);
  }

  async forgottenSeconds(): Promise<number> {
    return await readMark(this.#query, "forgotten_seconds");
  }

  async has(deviceId: string, messageId: string): Promise<boolean> {
    return await this.find(deviceId, messageId) !== undefined;
  }

  async find(deviceId: string, messageId: string): Promise<RememberedId | undefined> {
    const [row] = await this.#query(
      `SELECT used, slot::bigint * ${SLOT_SECONDS} + second AS newest FROM replay_guard
       WHERE device_id = $1 AND message_id = $2::uuid ORDER BY slot DESC LIMIT 1`,
      [deviceId, messageId],
    );
    if (row === undefined) return undefined;
    const used = row["used"] as number;
    return { sinceSeconds: used, untilSeconds: used, newestSeconds: row["newest"] as number };
  }
}

/** The newest timestamp that is remembered, Unix seconds; 0 if there is none. */
export async function newestSeconds(query: Query): Promise<number> {
  const slots = await query("SELECT slot FROM replay_slots ORDER BY slot DESC");
  for (const row of slots) {
    const slot = row["slot"] as number;
    const [newest] = await query("SELECT max(second) AS second FROM replay_guard WHERE slot = $1", [
      slot,
    ]);
    const second = newest!["second"] as number | null;
    if (second !== null) return slot * SLOT_SECONDS + second;
  }
  return 0;
}
