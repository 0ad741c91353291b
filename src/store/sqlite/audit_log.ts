/**
 * The audit as a whole: reading it, proving it, and trimming its beginning.
 *
 * The rules are:
 * - what is trimmed leaves an entry, `audit_trimmed`, with the number and the hash of the last one
 *   that went, so that the rest still proves itself;
 * - an end that was cut off shows in SQLite's own count of the table, and, with a kept hash of
 *   a head, beyond doubt: somebody who can write the file can make up a whole chain.
 */

import type { StatementSync } from "node:sqlite";
import type { AuditNote } from "../../core/audit_note.ts";
import {
  type AuditEntry,
  type AuditHead,
  type AuditLimits,
  type AuditProof,
  type LastRejection,
  REJECTION_COUNTS_MAX,
  type RejectionCount,
  REJECTIONS_LOOK_BACK_MAX,
} from "../audit.ts";
import { ChainProof, TRIMMED } from "../chain_proof.ts";
import { auditEntryOf, rejectionCountOf } from "../stored_audit.ts";
import type { Database } from "./database.ts";
import { DAY_SECONDS, secondsOf } from "../../core/time.ts";

/** Most entries that one transaction trims. */
const TRIM_MAX = 5_000;

/** How much older than the limit the first entry may get: each trimming is an entry itself. */
const AGE_SLACK_SECONDS = DAY_SECONDS;

/** Most entries among which a device's last rejection is looked for. */
const LOOK_BACK_MAX = 1_000_000;

/** The audit. */
export class AuditLog {
  readonly #store: Database;
  readonly #entries: StatementSync;
  readonly #find: StatementSync;
  readonly #firstSince: StatementSync;
  readonly #drop: StatementSync;

  constructor(store: Database) {
    this.#store = store;
    this.#entries = store.prepare("SELECT * FROM audit WHERE at >= ? ORDER BY sequence");
    this.#find = store.prepare("SELECT * FROM audit WHERE sequence = ?");
    this.#firstSince = store.prepare(
      "SELECT sequence FROM audit WHERE at >= ? ORDER BY sequence LIMIT 1",
    );
    this.#drop = store.prepare("DELETE FROM audit WHERE sequence <= ?");
  }

  /** The entries from a time on, Unix seconds, in their order; as they were when this began. */
  *since(at: number): Generator<AuditEntry> {
    for (const row of this.#entries.iterate(at)) yield auditEntryOf(row);
  }

  /** The last entry. */
  head(): AuditHead {
    return this.#store.audit.head();
  }

  /** A device's newest rejection; of those that are only counted yet, when their period began. */
  lastRejection(deviceId: string): LastRejection | undefined {
    const row = this.#store.prepare(`
      SELECT at, code FROM (
        SELECT since AS at, code FROM audit_rejections WHERE identity = ?1 AND count > 0
        UNION ALL SELECT * FROM (
          SELECT at, detail AS code FROM audit
          WHERE sequence > ?2 AND event = 'message_rejected' AND subject = ?1
          ORDER BY sequence DESC LIMIT 1
        )
      ) ORDER BY at DESC LIMIT 1`).get(deviceId, this.head().sequence - LOOK_BACK_MAX);
    return row && { at: row["at"] as number, code: row["code"] as string };
  }

  /** What was rejected since a time, Unix seconds, most first; among the newest entries. */
  rejections(since: number): RejectionCount[] {
    const after = this.head().sequence - REJECTIONS_LOOK_BACK_MAX;
    return this.#store.prepare(`
      SELECT identity, code, sum(count) AS count, min(at) AS first, max(at) AS last FROM (
        SELECT subject AS identity, detail AS code, count, at FROM audit
        WHERE sequence > ?1 AND event = 'message_rejected' AND at >= ?2
        UNION ALL SELECT identity, code, count, since AS at FROM audit_rejections
        WHERE count > 0 AND since >= ?2
      ) AS rejections GROUP BY identity, code
      ORDER BY 3 DESC, identity, code LIMIT ${REJECTION_COUNTS_MAX}`).all(after, since).map(
      rejectionCountOf,
    );
  }

  /** Enters what was done to the site and not to the store. */
  enter(note: AuditNote): void {
    this.#store.transaction(() => this.#store.audit.note(note));
  }

  /** Chains what another program has left. */
  chainPending(): void {
    this.#store.transaction(() => {});
  }

  /** Proves the chain; `pinned`, if given, must be the hash of one of its entries. */
  prove(pinned?: Uint8Array): AuditProof {
    this.#store.prepare("BEGIN").run(); // one view of it, and no lock
    try {
      return this.#prove(pinned);
    } finally {
      this.#store.prepare("ROLLBACK").run();
    }
  }

  /**
   * Drops what is over the limits, oldest first: `ageMs` says how old it is, `nowMs` is the entry's
   * own time. Belongs inside a transaction.
   */
  trim(limits: AuditLimits, { nowMs, ageMs }: { nowMs: number; ageMs: number }): void {
    const first = this.#first();
    const { sequence } = this.#store.audit.head();
    const oldest = this.#find.get(first);
    if (oldest === undefined) return;
    const at = secondsOf(ageMs - limits.maxAgeMs);
    const count = sequence - first + 1;
    // With some room made, or every new entry would be one to trim, with an entry about it.
    const surplus = count > limits.maxCount ? count - Math.floor(limits.maxCount * 0.9) : 0;
    const aged = (oldest["at"] as number) < at - AGE_SLACK_SECONDS
      ? this.#countBefore(at, first, sequence)
      : 0;
    const dropped = Math.min(Math.max(surplus, aged), TRIM_MAX, count - 1); // the head stays
    if (dropped > 0) this.#trimThrough(first + dropped - 1, { at: secondsOf(nowMs) });
  }

  #trimThrough(through: number, { at }: { at: number }): void {
    const last = auditEntryOf(this.#find.get(through)!);
    const count = through - this.#first() + 1;
    const detail = `${through} ${last.hash.toHex()}`;
    this.#store.audit.note({ at, event: TRIMMED, subject: "", detail, count });
    this.#store.writeMark("audit_first", through + 1);
    this.#drop.run(through);
  }

  #first(): number {
    return this.#store.readMark("audit_first");
  }

  #countBefore(at: number, first: number, last: number): number {
    const since = this.#firstSince.get(at)?.["sequence"] as number | undefined;
    return (since ?? last + 1) - first;
  }

  #prove(pinned: Uint8Array | undefined): AuditProof {
    const trimmed = this.#store.prepare(
      "SELECT detail FROM audit WHERE event = ? ORDER BY sequence DESC LIMIT 1",
    ).get(TRIMMED);
    const detail = trimmed?.["detail"] as string | undefined;
    const proof = new ChainProof({ first: this.#first(), trimmed: detail, pinned });
    for (const row of this.#entries.iterate(Number.MIN_SAFE_INTEGER)) proof.take(auditEntryOf(row));
    return proof.end(this.#lastEver());
  }

  /** The highest number that was ever given; SQLite keeps it beside the table. */
  #lastEver(): number {
    const row = this.#store.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'audit'").get();
    return (row?.["seq"] ?? 0) as number;
  }
}
