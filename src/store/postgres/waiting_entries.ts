/** The outbox as an operator sees it, beside gateways that run: the entries of all nodes. */

import { secondsOf } from "../../core/time.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { AGE_CLOCK_MARK } from "../age_clock.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { DROPPED, type OutboxStore, type OutboxSummary } from "../outbox.ts";
import { entryOf, summaryOf } from "../stored_entry.ts";
import type { Connection, Query } from "./connection.ts";
import { SUMMARY_COLUMNS } from "./outbox_columns.ts";
import { inPages, PAGE_MAX } from "./pages.ts";

/** `accepted_ms` as the wall clock of the entry's node says it now. */
const BY_WALL_CLOCK = `o.accepted_ms - coalesce((
  SELECT value FROM marks m WHERE m.node = o.node AND m.name = '${STEADY_OFFSET_MARK}'), 0)`;

const COLUMNS = SUMMARY_COLUMNS.replace("accepted_ms", `${BY_WALL_CLOCK} AS accepted_ms`);

/** The entries. */
export class PostgresOutbox implements OutboxStore {
  readonly #connection: Connection;
  readonly #query: Query;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#query = (text, values) => connection.query(text, values);
  }

  async count(): Promise<number> {
    const [row] = await this.#query("SELECT count(*) AS n FROM outbox");
    return row!["n"] as number;
  }

  async *list(deviceId?: string): AsyncIterable<OutboxSummary> {
    const rows = inPages((after) =>
      this.#query(
        `SELECT ${COLUMNS} FROM outbox o
         WHERE sequence > $1 AND ($2::text IS NULL OR device_id = $2)
         ORDER BY sequence LIMIT ${PAGE_MAX}`,
        [after?.["sequence"] ?? 0, deviceId ?? null],
      )
    );
    for await (const row of rows) yield summaryOf(row);
  }

  async find(sequence: number): Promise<OutboxEntry | undefined> {
    const [row] = await this.#query(
      `SELECT ${COLUMNS}, payload FROM outbox o WHERE sequence = $1`,
      [sequence],
    );
    return row && entryOf(row);
  }

  async findMessage(deviceId: string, messageId: string): Promise<OutboxEntry | undefined> {
    const [row] = await this.#query(
      `SELECT ${COLUMNS}, payload FROM outbox o
       WHERE device_id = $1 AND lower(message_id) = lower($2) AND command_state IS NULL`,
      [deviceId, messageId],
    );
    return row && entryOf(row);
  }

  async drop(sequence: number, nowMs: number): Promise<boolean> {
    return await this.#connection.transaction(async (query) => {
      const [entry] = await query(
        `WITH gone AS (DELETE FROM outbox WHERE sequence = $1 RETURNING *)
         INSERT INTO dead_letters (sequence, node, device_id, message_id, timestamp, accepted_ms,
           payload, command_state, died_ms, reason)
         SELECT sequence, node, device_id, message_id, timestamp, accepted_ms, payload,
           command_state, greatest($2::bigint, coalesce((
             SELECT value FROM marks m WHERE m.node = gone.node AND m.name = '${AGE_CLOCK_MARK}'
           ), 0)), $3
         FROM gone RETURNING node, device_id, message_id, command_state`,
        [sequence, nowMs, DROPPED],
      );
      if (entry === undefined) return false;
      const { node, device_id: deviceId, message_id: messageId, command_state: state } = entry;
      await query(
        `INSERT INTO outbox_changes (node, sequence, device_id, is_callback, is_added)
         VALUES ($1, $2, $3, $4, false)`,
        [node, sequence, deviceId, state !== null],
      );
      await query(
        `INSERT INTO audit_notes (at, author, event, subject, detail, count)
         VALUES ($1, audit_author(), 'outbox_dropped', $2, $3, 1)`,
        [secondsOf(nowMs), deviceId, messageId],
      );
      return true;
    });
  }
}
