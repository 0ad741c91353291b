/** The dead letters of all nodes; the rules are those of the SQLite engine's dead_letters.ts. */

import type {
  DeadLetter,
  DeadLetterStore,
  DeadLetterSummary,
  Extent,
  NewestDeadLetters,
  Selection,
} from "../dead_letters.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { answerOf, deathOf, entryOf, summaryOf } from "../stored_entry.ts";
import type { Connection, Query } from "./connection.ts";
import type { Row } from "./driver.ts";
import { SUMMARY_COLUMNS } from "./outbox_columns.ts";
import { inPages, PAGE_MAX } from "./pages.ts";

/** Most dead letters in one transaction: about 4 MB of the largest ones. */
const BATCH_MAX = 64;

/** A selection as SQL takes it: first and last sequence number, device or null. */
type Range = readonly [number, number, string | null];

const TAKEN = `DELETE FROM dead_letters WHERE sequence IN (
    SELECT sequence FROM dead_letters
    WHERE sequence BETWEEN $1 AND $2 AND ($3::text IS NULL OR device_id = $3)
    ORDER BY sequence LIMIT ${BATCH_MAX} FOR UPDATE
  ) RETURNING *`;

const REQUEUE = `
  WITH taken AS (${TAKEN}), added AS (
    INSERT INTO outbox (node, device_id, message_id, timestamp, accepted_ms, payload, command_state)
    SELECT node, device_id, message_id, timestamp, $4::bigint + coalesce((
      SELECT value FROM marks m WHERE m.node = taken.node AND m.name = '${STEADY_OFFSET_MARK}'), 0),
      payload, command_state
    FROM taken ORDER BY sequence
    RETURNING node, sequence, device_id, command_state
  )
  INSERT INTO outbox_changes (node, sequence, device_id, is_callback, is_added)
  SELECT node, sequence, device_id, command_state IS NOT NULL, true FROM added ORDER BY sequence
  RETURNING 1`;

/** The dead letters. */
export class PostgresDeadLetters implements DeadLetterStore {
  readonly #query: Query;

  constructor(connection: Connection) {
    this.#query = (text, values) => connection.query(text, values);
  }

  async count(): Promise<number> {
    const [row] = await this.#query("SELECT count(*) AS n FROM dead_letters");
    return row!["n"] as number;
  }

  async extent(): Promise<Extent> {
    const [row] = await this.#query(
      `SELECT coalesce(max(sequence), 0) AS last, coalesce(max(length(device_id)), 0) AS chars
       FROM dead_letters`,
    );
    return {
      lastSequence: row!["last"] as number,
      deviceIdMaxChars: row!["chars"] as number,
    };
  }

  async *list(): AsyncIterable<DeadLetterSummary> {
    const { lastSequence } = await this.extent();
    const rows = inPages((after) =>
      this.#query(
        `SELECT ${SUMMARY_COLUMNS}, died_ms, status, reason FROM dead_letters
         WHERE (died_ms, sequence) > ($1, $2) AND sequence <= $3
         ORDER BY died_ms, sequence LIMIT ${PAGE_MAX}`,
        [after?.["died_ms"] ?? Number.MIN_SAFE_INTEGER, after?.["sequence"] ?? 0, lastSequence],
      )
    );
    for await (const row of rows) yield { ...summaryOf(row), ...deathOf(row) };
  }

  async newest({ deviceIds, before, limit }: NewestDeadLetters): Promise<DeadLetterSummary[]> {
    const last = Number.MAX_SAFE_INTEGER;
    const rows = await this.#query(
      `SELECT ${SUMMARY_COLUMNS}, died_ms, status, reason FROM dead_letters
       WHERE (died_ms, sequence) < ($1, $2) AND ($3::text[] IS NULL OR device_id = ANY($3))
       ORDER BY died_ms DESC, sequence DESC LIMIT $4`,
      [before?.deadLetteredAtMs ?? last, before?.sequence ?? last, deviceIds ?? null, limit],
    );
    return rows.map((row) => ({ ...summaryOf(row), ...deathOf(row) }));
  }

  async find(sequence: number): Promise<DeadLetter | undefined> {
    const [row] = await this.#query("SELECT * FROM dead_letters WHERE sequence = $1", [sequence]);
    return row && letterOf(row);
  }

  async findMessage(deviceId: string, messageId: string): Promise<DeadLetter | undefined> {
    const [row] = await this.#query(
      `SELECT * FROM dead_letters
       WHERE device_id = $1 AND lower(message_id) = lower($2) AND command_state IS NULL`,
      [deviceId, messageId],
    );
    return row && letterOf(row);
  }

  async *requeue(selection: Selection, nowMs: number): AsyncIterable<number> {
    yield* this.#inBatches(selection, (range) => this.#query(REQUEUE, [...range, nowMs]));
  }

  async *drop(selection: Selection): AsyncIterable<number> {
    yield* this.#inBatches(selection, (range) => this.#query(TAKEN, range));
  }

  /** Up to the last one that is there now: one that is refused again is not caught again. */
  async *#inBatches(
    selection: Selection,
    work: (range: Range) => Promise<readonly Row[]>,
  ): AsyncIterable<number> {
    const range = rangeOf(selection, (await this.extent()).lastSequence);
    for (let done = BATCH_MAX; done === BATCH_MAX;) {
      done = (await work(range)).length;
      yield done;
    }
  }
}

function rangeOf(selection: Selection, lastSequence: number): Range {
  if (selection === "all") return [1, lastSequence, null];
  return "sequence" in selection
    ? [selection.sequence, selection.sequence, null]
    : [1, lastSequence, selection.deviceId];
}

function letterOf(row: Row): DeadLetter {
  return { ...entryOf(row), ...deathOf(row), answer: answerOf(row) };
}
