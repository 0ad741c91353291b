/**
 * Messages that were accepted and could not be delivered, in the store, with their bytes.
 *
 * The rules are:
 * - a dead letter that is tried again goes to the end of its device's lane, with the same bytes and
 *   the same Idempotency-Key, and as an entry with a number of its own;
 * - those that are tried again together keep the order in which they were last accepted or retried;
 * - there is a limit to how many are kept and for how long; the oldest go first;
 * - a running gateway writes to the same store: however many are listed, retried or dropped, it is
 *   held up for a moment only, by one page or one batch.
 */

import type { StatementSync } from "node:sqlite";
import type { DeadLetterCause, ExpiredDeadLetters } from "../../core/delivery.ts";
import {
  type DeadLetter,
  type DeadLetterLimits,
  type DeadLetterSummary,
  expiredOf,
  type Extent,
  type NewestDeadLetters,
  type Selection,
} from "../dead_letters.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { answerOf, deathOf, entryOf, summaryOf } from "../stored_entry.ts";
import type { Database } from "./database.ts";

/** Most dead letters that are read at one time. */
const PAGE_MAX = 256;

/** Most dead letters in one transaction: about 4 MB of the largest ones. */
const BATCH_MAX = 64;

/** Without what may be large. */
const SUMMARY =
  "sequence, device_id, message_id, timestamp, accepted_ms, died_ms, status, reason, " +
  "command_state";

/** A selection as SQL takes it: first and last sequence number, device or null, device or null. */
type Range = [number, number, string | null, string | null];

const IN_RANGE = "sequence BETWEEN ? AND ? AND (? IS NULL OR device_id = ?)";

/** The dead letters. */
export class DeadLetters {
  readonly #store: Database;
  readonly #insert: StatementSync;
  readonly #count: StatementSync;
  readonly #extent: StatementSync;
  readonly #page: StatementSync;
  readonly #newest: StatementSync;
  readonly #newestOfOne: StatementSync;
  readonly #find: StatementSync;
  readonly #byMessage: StatementSync;
  readonly #revive: StatementSync;
  readonly #remove: StatementSync;
  readonly #dropOlder: StatementSync;
  readonly #dropSurplus: StatementSync;

  constructor(store: Database) {
    this.#store = store;
    this.#insert = store.prepare(`
      INSERT INTO dead_letters
      SELECT sequence, device_id, message_id, timestamp, accepted_ms, payload, ?, ?, ?, ?, ?, ?,
        command_state
      FROM outbox WHERE sequence = ?`);
    this.#count = store.prepare("SELECT count(*) AS n FROM dead_letters");
    this.#extent = store.prepare(`
      SELECT coalesce(max(sequence), 0) AS last, coalesce(max(length(device_id)), 0) AS chars
      FROM dead_letters`);
    this.#page = store.prepare(`
      SELECT ${SUMMARY} FROM dead_letters WHERE (died_ms, sequence) > (?, ?) AND sequence <= ?
      ORDER BY died_ms, sequence LIMIT ${PAGE_MAX}`);
    this.#newest = store.prepare(`
      SELECT ${SUMMARY} FROM dead_letters WHERE (died_ms, sequence) < (?, ?)
      ORDER BY died_ms DESC, sequence DESC LIMIT ?`);
    this.#newestOfOne = store.prepare(`
      SELECT ${SUMMARY} FROM dead_letters WHERE device_id = ? AND (died_ms, sequence) < (?, ?)
      ORDER BY died_ms DESC, sequence DESC LIMIT ?`);
    this.#find = store.prepare("SELECT * FROM dead_letters WHERE sequence = ?");
    this.#byMessage = store.prepare(
      `SELECT sequence FROM dead_letters
      WHERE lower(message_id) = lower(?) AND device_id = ? AND command_state IS NULL`,
    );
    this.#revive = store.prepare(`
      INSERT INTO outbox
        (device_id, message_id, timestamp, accepted_ms, payload, command_state, is_requeued)
      SELECT device_id, message_id, timestamp,
        ? + coalesce((SELECT value FROM marks WHERE name = '${STEADY_OFFSET_MARK}'), 0), payload,
        command_state, 1
      FROM dead_letters WHERE ${IN_RANGE} ORDER BY sequence LIMIT ${BATCH_MAX}`);
    this.#remove = store.prepare(`
      DELETE FROM dead_letters WHERE sequence IN
        (SELECT sequence FROM dead_letters WHERE ${IN_RANGE} ORDER BY sequence LIMIT ${BATCH_MAX})`);
    this.#dropOlder = store.prepare(`
      DELETE FROM dead_letters WHERE died_ms < ? RETURNING device_id, message_id`);
    this.#dropSurplus = store.prepare(`
      DELETE FROM dead_letters WHERE sequence IN
        (SELECT sequence FROM dead_letters ORDER BY died_ms, sequence LIMIT ?)
      RETURNING device_id, message_id`);
  }

  /** Copies an outbox entry; belongs inside the transaction that takes it out there. */
  deadLetter(sequence: number, cause: DeadLetterCause): void {
    const { deadLetteredAtMs, status, reason, answer } = cause;
    const { contentType, location, body } = answer ?? {};
    const kept = [contentType ?? null, location ?? null, body ?? null] as const;
    this.#insert.run(deadLetteredAtMs, status ?? null, reason, ...kept, sequence);
  }

  /** How many there are. */
  count(): number {
    return this.#count.get()!["n"] as number;
  }

  /** How much room a table of them needs. */
  extent(): Extent {
    const { last, chars } = this.#extent.get()!;
    return { lastSequence: last as number, deviceIdMaxChars: chars as number };
  }

  /** Those that are there now, the oldest first; the store is free while the caller has one. */
  *list(): Generator<DeadLetterSummary> {
    const { lastSequence } = this.extent();
    let page: DeadLetterSummary[] = [];
    let [deadLetteredAtMs, sequence] = [Number.MIN_SAFE_INTEGER, 0];
    do {
      page = this.#page.all(deadLetteredAtMs, sequence, lastSequence).map((row) => (
        { ...summaryOf(row), ...deathOf(row) }
      ));
      yield* page;
      ({ deadLetteredAtMs, sequence } = page.at(-1) ?? { deadLetteredAtMs, sequence });
    } while (page.length === PAGE_MAX);
  }

  /** Some of them, the newest first; of each device apart, so that an index has them. */
  newest({ deviceIds, before, limit }: NewestDeadLetters): DeadLetterSummary[] {
    const last = Number.MAX_SAFE_INTEGER;
    const from = [before?.deadLetteredAtMs ?? last, before?.sequence ?? last];
    const rows = deviceIds === undefined
      ? this.#newest.all(...from, limit)
      : deviceIds.flatMap((deviceId) => this.#newestOfOne.all(deviceId, ...from, limit));
    const letters = rows.map((row) => ({ ...summaryOf(row), ...deathOf(row) }));
    return deviceIds === undefined ? letters : letters.toSorted(byNewestDeath).slice(0, limit);
  }

  /** The dead letter of a sequence number; undefined if there is none. */
  find(sequence: number): DeadLetter | undefined {
    const row = this.#find.get(sequence);
    return row && { ...entryOf(row), ...deathOf(row), answer: answerOf(row) };
  }

  /** The dead letter of a reading, by its message_id in any case; undefined if there is none. */
  findMessage(deviceId: string, messageId: string): DeadLetter | undefined {
    const row = this.#byMessage.get(messageId, deviceId);
    return row && this.find(row["sequence"] as number);
  }

  /**
   * Puts those of a selection that are there now back into the outbox, in their order. Each step is
   * a transaction of its own; it yields how many that one took. `nowMs` is the wall clock.
   */
  *requeue(selection: Selection, nowMs: number): Generator<number> {
    yield* this.#inBatches(selection, (range) => {
      this.#revive.run(nowMs, ...range);
      return Number(this.#remove.run(...range).changes);
    });
  }

  /** Drops those of a selection that are there now permanently, in steps as `retry` does. */
  *drop(selection: Selection): Generator<number> {
    yield* this.#inBatches(selection, (range) => Number(this.#remove.run(...range).changes));
  }

  /** Drops what is over the limits, oldest first; returns which. Belongs inside a transaction. */
  expire(limits: DeadLetterLimits, nowMs: number): ExpiredDeadLetters {
    const older = this.#dropOlder.all(nowMs - limits.maxAgeMs);
    const surplus = this.count() - limits.maxCount;
    const dropped = surplus > 0 ? [...older, ...this.#dropSurplus.all(surplus)] : older;
    return expiredOf(dropped.map((row) => ({
      deviceId: row["device_id"] as string,
      messageId: row["message_id"] as string,
    })));
  }

  /** Up to the last one that is there now: one that is refused again is not caught again. */
  *#inBatches(selection: Selection, work: (range: Range) => number): Generator<number> {
    const range = rangeOf(selection, this.extent().lastSequence);
    for (let done = BATCH_MAX; done === BATCH_MAX;) {
      done = this.#store.transaction(() => work(range));
      yield done;
    }
  }
}

function byNewestDeath(one: DeadLetterSummary, other: DeadLetterSummary): number {
  return other.deadLetteredAtMs - one.deadLetteredAtMs || other.sequence - one.sequence;
}

function rangeOf(selection: Selection, lastSequence: number): Range {
  if (selection === "all") return [1, lastSequence, null, null];
  return "sequence" in selection
    ? [selection.sequence, selection.sequence, null, null]
    : [1, lastSequence, selection.deviceId, selection.deviceId];
}
