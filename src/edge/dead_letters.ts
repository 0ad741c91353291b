/**
 * Messages that were accepted and could not be delivered, in the store, with their bytes.
 *
 * The rules are:
 * - a dead letter that is tried again goes to the end of its device's lane, with the same bytes and
 *   the same Idempotency-Key;
 * - there is a limit to how many are kept and for how long; the oldest go first.
 */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { Death } from "../core/delivery.ts";
import { entryOf, type OutboxEntry } from "./outbox.ts";
import type { Store } from "./store.ts";

/** A dead letter; `sequence` is the one that it had in the outbox, and its name. */
export type DeadLetter = OutboxEntry & Death;

/** Which dead letters are meant. */
export type Selection =
  | { readonly sequence: number }
  | { readonly deviceId: string }
  | "all";

/** How many are kept, and for how long. */
export interface DeadLetterLimits {
  readonly maxCount: number;
  readonly maxAgeMs: number;
}

/** The dead letters. */
export class DeadLetters {
  readonly #store: Store;
  readonly #bury: StatementSync;
  readonly #count: StatementSync;
  readonly #dropOlder: StatementSync;
  readonly #dropSurplus: StatementSync;

  constructor(store: Store) {
    this.#store = store;
    this.#bury = store.prepare(`
      INSERT INTO dead_letters
      SELECT sequence, device_id, message_id, timestamp, accepted_ms, payload, ?, ?, ?
      FROM outbox WHERE sequence = ?`);
    this.#count = store.prepare("SELECT count(*) AS n FROM dead_letters");
    this.#dropOlder = store.prepare("DELETE FROM dead_letters WHERE died_ms < ?");
    this.#dropSurplus = store.prepare(`
      DELETE FROM dead_letters WHERE sequence IN
        (SELECT sequence FROM dead_letters ORDER BY died_ms, sequence LIMIT ?)`);
  }

  /** Copies an outbox entry; belongs inside the transaction that takes it out there. */
  bury(sequence: number, death: Death): void {
    this.#bury.run(death.diedMs, death.status ?? null, death.reason, sequence);
  }

  /** How many there are. */
  count(): number {
    return this.#count.get()!["n"] as number;
  }

  /** The dead letters of a selection, oldest first. */
  list(selection: Selection): DeadLetter[] {
    const { where, values } = conditionOf(selection);
    return this.#store.prepare(`SELECT * FROM dead_letters ${where} ORDER BY died_ms, sequence`)
      .all(...values).map(letterOf);
  }

  /** Puts a selection back into the outbox, oldest first; returns how many. */
  retry(selection: Selection, nowMs: number): number {
    const { where, values } = conditionOf(selection);
    return this.#store.transaction(() => {
      this.#store.prepare(`
        INSERT INTO outbox (device_id, message_id, timestamp, accepted_ms, payload)
        SELECT device_id, message_id, timestamp, ?, payload
        FROM dead_letters ${where} ORDER BY sequence`).run(nowMs, ...values);
      return this.#delete(where, values);
    });
  }

  /** Drops a selection for good; returns how many. */
  drop(selection: Selection): number {
    const { where, values } = conditionOf(selection);
    return this.#store.transaction(() => this.#delete(where, values));
  }

  /** Drops what is over the limits, oldest first; returns how many. Belongs inside a transaction. */
  trim(limits: DeadLetterLimits, nowMs: number): number {
    const older = Number(this.#dropOlder.run(nowMs - limits.maxAgeMs).changes);
    const surplus = this.count() - limits.maxCount;
    return older + (surplus > 0 ? Number(this.#dropSurplus.run(surplus).changes) : 0);
  }

  #delete(where: string, values: readonly (string | number)[]): number {
    return Number(this.#store.prepare(`DELETE FROM dead_letters ${where}`).run(...values).changes);
  }
}

function conditionOf(selection: Selection): { where: string; values: (string | number)[] } {
  if (selection === "all") return { where: "", values: [] };
  return "sequence" in selection
    ? { where: "WHERE sequence = ?", values: [selection.sequence] }
    : { where: "WHERE device_id = ?", values: [selection.deviceId] };
}

function letterOf(row: Record<string, SQLOutputValue>): DeadLetter {
  return {
    ...entryOf(row),
    status: (row["status"] ?? undefined) as number | undefined,
    reason: row["reason"] as string,
    diedMs: row["died_ms"] as number,
  };
}
