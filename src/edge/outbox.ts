/** Accepted messages on their way to the backend, and dead letters, in the store. */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { SignedFields } from "../core/signing_input.ts";
import type { Store } from "./store.ts";

/** An accepted message that the backend has not settled yet. */
export interface OutboxEntry extends SignedFields {
  /** Counts up in the order in which the broker delivered. */
  readonly sequence: number;
  /** When it was accepted: wall clock, Unix milliseconds. */
  readonly acceptedMs: number;
  /** The bytes under the signature; what the backend receives. */
  readonly payload: Uint8Array;
}

/** How an entry leaves the outbox: delivered, or as a dead letter. */
export type Settlement =
  | { readonly kind: "delivered"; readonly sequence: number }
  | {
    readonly kind: "dead";
    readonly sequence: number;
    /** The backend's last answer; undefined where none came. */
    readonly status: number | undefined;
    readonly reason: string;
    readonly diedMs: number;
  };

/** The outbox; `append` and `settle` belong inside a transaction. */
export class Outbox {
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #bury: StatementSync;
  readonly #read: StatementSync;
  readonly #lanes: StatementSync;
  readonly #count: StatementSync;
  readonly #deadCount: StatementSync;

  constructor(store: Store) {
    this.#insert = store.prepare(`
      INSERT INTO outbox (device_id, message_id, timestamp, accepted_ms, payload)
      VALUES (?, ?, ?, ?, ?)`);
    this.#delete = store.prepare("DELETE FROM outbox WHERE sequence = ?");
    this.#bury = store.prepare(`
      INSERT INTO dead_letters
      SELECT sequence, device_id, message_id, timestamp, accepted_ms, payload, ?, ?, ?
      FROM outbox WHERE sequence = ?`);
    this.#read = store.prepare("SELECT * FROM outbox WHERE sequence = ?");
    this.#lanes = store.prepare("SELECT sequence, device_id FROM outbox ORDER BY sequence");
    this.#count = store.prepare("SELECT count(*) AS n FROM outbox");
    this.#deadCount = store.prepare("SELECT count(*) AS n FROM dead_letters");
  }

  /** Adds an accepted message; returns the entry it has become. */
  append(entry: Omit<OutboxEntry, "sequence">): OutboxEntry {
    const { deviceId, messageId, timestamp, acceptedMs, payload } = entry;
    const added = this.#insert.run(deviceId, messageId, timestamp, acceptedMs, payload);
    return { ...entry, sequence: Number(added.lastInsertRowid) };
  }

  /** Takes an entry out, for good or to the dead letters. */
  settle(settlement: Settlement): void {
    const { sequence } = settlement;
    if (settlement.kind === "dead") {
      const { diedMs, status, reason } = settlement;
      this.#bury.run(diedMs, status ?? null, reason, sequence);
    }
    this.#delete.run(sequence);
  }

  /** The entry of a sequence number; undefined where it was settled. */
  read(sequence: number): OutboxEntry | undefined {
    const row = this.#read.get(sequence);
    return row === undefined ? undefined : entryOf(row);
  }

  /** Every entry's sequence number and device, in order: what an earlier run left. */
  *backlog(): Iterable<Pick<OutboxEntry, "sequence" | "deviceId">> {
    for (const row of this.#lanes.iterate()) {
      yield { sequence: row["sequence"] as number, deviceId: row["device_id"] as string };
    }
  }

  /** How many entries wait. */
  count(): number {
    return this.#count.get()!["n"] as number;
  }

  /** How many dead letters there are. */
  deadCount(): number {
    return this.#deadCount.get()!["n"] as number;
  }
}

function entryOf(row: Record<string, SQLOutputValue>): OutboxEntry {
  return {
    sequence: row["sequence"] as number,
    deviceId: row["device_id"] as string,
    messageId: row["message_id"] as string,
    timestamp: row["timestamp"] as string,
    acceptedMs: row["accepted_ms"] as number,
    payload: row["payload"] as Uint8Array,
  };
}
