/**
 * The audit's chain, as every transaction on the store extends it.
 *
 * The rules are:
 * - the hash of an entry is SHA-256 over the hash before it (32 zero bytes before the first) and the
 *   JSON array `[sequence, at, author, event, subject, detail, count]` without white space;
 * - triggers note what changes in the tables, whichever program changes it, and the transaction
 *   chains it before it commits; what a program without a chain has left is chained by the next;
 * - no secret, key, signature or payload is ever in it.
 */

import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { AuditNote } from "../../core/audit_note.ts";
import { AUDIT_GENESIS, type AuditAuthor, type AuditHead } from "../audit.ts";
import { auditHash } from "../chain_proof.ts";
import { noteOf } from "../stored_audit.ts";

/** Notes that are in memory at one time. */
const PAGE_MAX = 1_000;

/** The chain, for one connection. */
export class AuditChain {
  readonly #anyNote: StatementSync;
  readonly #notes: StatementSync;
  readonly #note: StatementSync;
  readonly #forget: StatementSync;
  readonly #head: StatementSync;
  readonly #append: StatementSync;

  constructor(database: Pick<DatabaseSync, "prepare">) {
    this.#anyNote = database.prepare("SELECT 1 FROM audit_notes LIMIT 1");
    this.#notes = database.prepare(`SELECT * FROM audit_notes ORDER BY number LIMIT ${PAGE_MAX}`);
    this.#note = database.prepare("INSERT INTO audit_notes VALUES (NULL, ?, ?, ?, ?, ?)");
    this.#forget = database.prepare("DELETE FROM audit_notes WHERE number <= ?");
    this.#head = database.prepare(
      "SELECT sequence, hash FROM audit ORDER BY sequence DESC LIMIT 1",
    );
    this.#append = database.prepare("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)");
  }

  /** Notes something that no trigger sees; belongs inside a transaction. */
  note({ at, event, subject, detail, count }: AuditNote): void {
    this.#note.run(at, event, subject, detail, count);
  }

  /** Chains every note; belongs inside a transaction. Costs next to nothing if there is none. */
  chain(author: AuditAuthor): void {
    while (this.#anyNote.get() !== undefined) {
      const notes = this.#notes.all();
      let { sequence, hash } = this.head();
      for (const row of notes) {
        const entry = { ...noteOf(row), sequence: ++sequence, author };
        hash = auditHash(entry, hash);
        const { at, event, subject, detail, count } = entry;
        this.#append.run(sequence, at, author, event, subject, detail, count, hash);
      }
      this.#forget.run(notes.at(-1)!["number"]!);
    }
  }

  /** The last entry. */
  head(): AuditHead {
    const row = this.#head.get();
    if (row === undefined) return { sequence: 0, hash: AUDIT_GENESIS };
    return { sequence: row["sequence"] as number, hash: row["hash"] as Uint8Array };
  }
}
