/** Accepted messages on their way to the backend, in the store. */

import type { StatementSync } from "node:sqlite";
import type { OutboxEntry, WaitingEntry } from "../../core/outbox_entry.ts";
import { READ_MAX } from "../../core/ports.ts";
import { STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { entryOf } from "../stored_entry.ts";
import type { Database } from "./database.ts";

/** The outbox; `append`, `reassignAcceptTime` and `remove` belong inside a transaction. */
export class Outbox {
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #read: StatementSync;
  readonly #lanes: StatementSync;
  readonly #setAcceptTime: StatementSync;
  readonly #oldest: StatementSync;
  readonly #removals: StatementSync;
  readonly #newest: StatementSync;
  readonly #count: StatementSync;
  readonly #has: StatementSync;
  readonly #hasRequeued: StatementSync;

  constructor(store: Database) {
    this.#insert = store.prepare(`
      INSERT INTO outbox (device_id, message_id, timestamp, accepted_ms, payload, command_state)
      VALUES (?, ?, ?, ?, ?, ?)`);
    this.#delete = store.prepare("DELETE FROM outbox WHERE sequence = ?");
    const places = Array(READ_MAX).fill("?").join();
    this.#read = store.prepare(
      `SELECT * FROM outbox WHERE sequence IN (${places}) ORDER BY sequence`,
    );
    // The column of the state is behind the payload, and costs reading all of that: the index has it.
    this.#lanes = store.prepare(`
      SELECT sequence, device_id, sequence IN
        (SELECT sequence FROM outbox WHERE command_state IS NOT NULL) AS is_callback
      FROM outbox WHERE sequence > ? ORDER BY sequence`);
    this.#setAcceptTime = store.prepare("UPDATE outbox SET accepted_ms = ? WHERE sequence > ?");
    this.#oldest = store.prepare("SELECT accepted_ms FROM outbox ORDER BY sequence LIMIT 1");
    this.#removals = store.prepare("DELETE FROM outbox_removals RETURNING sequence, lane");
    this.#newest = store.prepare("SELECT max(accepted_ms) AS ms FROM outbox");
    this.#count = store.prepare("SELECT count(*) AS n FROM outbox");
    this.#has = store.prepare(`
      SELECT 1 FROM outbox
      WHERE sequence > ? AND sequence <= ? AND device_id = ? AND lower(message_id) = lower(?) AND
        command_state IS NULL`);
    this.#hasRequeued = store.prepare(`
      SELECT 1 FROM outbox
      WHERE is_requeued = 1 AND lower(message_id) = lower(?) AND device_id = ? AND
        command_state IS NULL`);
  }

  /** Adds an accepted message; returns the entry it has become. */
  append(entry: Omit<OutboxEntry, "sequence">): OutboxEntry {
    const { deviceId, messageId, timestamp, acceptedMs, payload } = entry;
    const commandState = entry.commandState ?? null;
    const added = this.#insert.run(
      ...[deviceId, messageId, timestamp, acceptedMs, payload, commandState],
    );
    return { ...entry, sequence: Number(added.lastInsertRowid) };
  }

  /** Sets the accept time of every entry after `sequence`. */
  reassignAcceptTime(sequence: number, acceptedMs: number): void {
    this.#setAcceptTime.run(acceptedMs, sequence);
  }

  /** Takes an entry out. */
  remove(sequence: number): void {
    this.#delete.run(sequence);
  }

  /** Those of the entries (at most `READ_MAX`) that are there, in the order of their numbers. */
  read(sequences: readonly number[]): OutboxEntry[] {
    const places = Array.from({ length: READ_MAX }, (_, i) => sequences[i] ?? null);
    return this.#read.all(...places).map(entryOf);
  }

  /**
   * True if a reading waits, by its message_id in any case: with a number between these, unless it was
   * a dead letter. Each number between them that waits is looked at.
   */
  has(
    deviceId: string,
    messageId: string,
    { after, upTo }: { readonly after: number; readonly upTo: number },
  ): boolean {
    return this.#has.get(after, upTo, deviceId, messageId) !== undefined ||
      this.#hasRequeued.get(messageId, deviceId) !== undefined;
  }

  /** Sequence number and device of every entry after `sequence`, in order. */
  *after(sequence: number): Iterable<WaitingEntry> {
    for (const row of this.#lanes.iterate(sequence)) {
      const entry = { sequence: row["sequence"] as number, deviceId: row["device_id"] as string };
      yield row["is_callback"] === 1 ? { ...entry, isCallback: true } : entry;
    }
  }

  /** When the first entry was accepted; infinite if there is none. */
  oldestAcceptedMs(): number {
    const row = this.#oldest.get();
    return row === undefined ? Infinity : row["accepted_ms"] as number;
  }

  /** Which entries another process has taken out since this was last asked. */
  takeRemovals(): WaitingEntry[] {
    return this.#removals.all().map((row) => ({
      sequence: row["sequence"] as number,
      deviceId: row["lane"] as string,
    }));
  }

  /** When the newest of all entries was accepted; undefined if there is none. */
  newestAcceptedMs(): number | undefined {
    return (this.#newest.get()!["ms"] ?? undefined) as number | undefined;
  }

  /** How many entries wait. */
  count(): number {
    return this.#count.get()!["n"] as number;
  }
}

/** What the next steady clock goes on from; without entries and commands, any will do. */
export function steadyStart(store: Database, outbox: Outbox) {
  const row = store.prepare(
    "SELECT 1000 * max(accepted_steady) AS ms FROM commands WHERE payload IS NOT NULL",
  ).get()!;
  const floorMs = Math.max(outbox.newestAcceptedMs() ?? 0, (row["ms"] ?? 0) as number);
  return floorMs === 0
    ? { offsetMs: 0, floorMs }
    : { offsetMs: store.readMark(STEADY_OFFSET_MARK), floorMs };
}
