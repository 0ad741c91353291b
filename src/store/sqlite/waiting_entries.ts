/**
 * The outbox as an operator sees it, beside a gateway that runs.
 *
 * The rules are:
 * - it is read page by page, so that the gateway is held up for a moment only;
 * - what is dropped becomes a dead letter and is in the audit; the gateway keeps entries in memory,
 *   so it is told in a table of its own, which it empties.
 */

import type { StatementSync } from "node:sqlite";
import { secondsOf } from "../../core/time.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { DROPPED, type OutboxSummary } from "../outbox.ts";
import { AgeClock } from "../age_clock.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { summaryOf } from "../stored_entry.ts";
import { ageMarks } from "./age_marks.ts";
import type { Database } from "./database.ts";
import { DeadLetters } from "./dead_letters.ts";
import { Outbox } from "./outbox.ts";

/** Most entries that are read at one time. */
const PAGE_MAX = 256;

/** The entries. */
export class WaitingEntries {
  readonly #database: Database;
  readonly #outbox: Outbox;
  readonly #deadLetters: DeadLetters;
  readonly #page: StatementSync;
  readonly #byMessage: StatementSync;
  readonly #tell: StatementSync;

  constructor(database: Database) {
    this.#database = database;
    this.#outbox = new Outbox(database);
    this.#deadLetters = new DeadLetters(database);
    this.#page = database.prepare(`
      SELECT sequence, device_id, message_id, timestamp, accepted_ms, command_state FROM outbox
      WHERE sequence > ? AND (? IS NULL OR device_id = ?) ORDER BY sequence LIMIT ${PAGE_MAX}`);
    this.#byMessage = database.prepare(
      `SELECT sequence FROM outbox
      WHERE device_id = ? AND lower(message_id) = lower(?) AND command_state IS NULL`,
    );
    this.#tell = database.prepare("INSERT OR REPLACE INTO outbox_removals VALUES (?, ?)");
  }

  /** How many entries wait. */
  count(): number {
    return this.#outbox.count();
  }

  /** Those that are there now, in the order of their numbers. */
  *list(deviceId?: string): Generator<OutboxSummary> {
    const device = deviceId ?? null;
    let page: OutboxSummary[] = [];
    let sequence = 0;
    do {
      page = this.#page.all(sequence, device, device).map((row) =>
        this.#byWallClock(summaryOf(row))
      );
      yield* page;
      sequence = page.at(-1)?.sequence ?? sequence;
    } while (page.length === PAGE_MAX);
  }

  /** The entry of a sequence number; undefined if there is none. */
  find(sequence: number): OutboxEntry | undefined {
    const entry = this.#outbox.read([sequence])[0];
    return entry && this.#byWallClock(entry);
  }

  /** The entry of a reading, by its message_id in any case; undefined if there is none. */
  findMessage(deviceId: string, messageId: string): OutboxEntry | undefined {
    const row = this.#byMessage.get(deviceId, messageId);
    return row && this.find(row["sequence"] as number);
  }

  /** `acceptedMs` as the wall clock says it now. */
  #byWallClock<T extends OutboxSummary>(entry: T): T {
    return { ...entry, acceptedMs: entry.acceptedMs - this.#database.readMark(STEADY_OFFSET_MARK) };
  }

  /** Makes an entry a dead letter; false if there is none. */
  drop(sequence: number, nowMs: number): boolean {
    return this.#database.transaction(() => {
      const entry = this.find(sequence);
      if (entry === undefined) return false;
      // The clock by which dead letters expire: this machine's may be behind.
      const deadLetteredAtMs = new AgeClock(ageMarks(this.#database)).timeOf(nowMs);
      const cause = { status: undefined, reason: DROPPED, deadLetteredAtMs };
      this.#deadLetters.deadLetter(sequence, cause);
      this.#outbox.remove(sequence);
      this.#tell.run(sequence, entry.deviceId);
      this.#database.audit.note({
        at: secondsOf(nowMs),
        event: "outbox_dropped",
        subject: entry.deviceId,
        detail: entry.messageId,
        count: 1,
      });
      return true;
    });
  }
}
