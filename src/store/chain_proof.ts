/** The audit's chain of hashes: what an entry's hash must be, and whether a chain is whole. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { AUDIT_GENESIS, type AuditEntry, type AuditHead, type AuditProof } from "./audit.ts";

/** The event of the entry that says what was trimmed: `<last number> <its hash>`. */
export const TRIMMED = "audit_trimmed";

/** Most faults that are named; after that it is clear enough. */
const FAULTS_MAX = 20;

/** The hash that an entry must have after one with the hash `before`. */
export function auditHash(entry: Omit<AuditEntry, "hash">, before: Uint8Array): Uint8Array {
  const { sequence, at, author, event, subject, detail, count } = entry;
  const text = JSON.stringify([sequence, at, author, event, subject, detail, count]);
  return createHash("sha256").update(before).update(text).digest();
}

/** Proves a chain, entry by entry in the order of their numbers. */
export class ChainProof {
  readonly #faults: string[] = [];
  readonly #pin: string | undefined;
  #head: AuditHead;
  #isPinSeen: boolean;
  #count = 0;

  /**
   * `first`: the first entry that was not trimmed; `trimmed`: what the last entry about a trimming
   * says; `pinned` must be the hash of one of the entries.
   */
  constructor({ first, trimmed, pinned }: {
    readonly first: number;
    readonly trimmed: string | undefined;
    readonly pinned: Uint8Array | undefined;
  }) {
    this.#pin = pinned?.toHex();
    this.#isPinSeen = pinned === undefined || this.#pin === AUDIT_GENESIS.toHex();
    this.#head = this.#beginning(first, trimmed);
  }

  /** The next entry. */
  take(entry: AuditEntry): void {
    const missing = entry.sequence - this.#head.sequence - 1;
    if (missing !== 0) this.#fault(gap(this.#head.sequence, entry.sequence));
    else if (auditHash(entry, this.#head.hash).toHex() !== entry.hash.toHex()) {
      this.#fault(`Entry ${entry.sequence} was altered, or is not in its place`);
    }
    this.#isPinSeen ||= entry.hash.toHex() === this.#pin;
    this.#head = entry;
    this.#count++;
  }

  /** There are no more; `last` is the highest number that was ever given. */
  end(last: number): AuditProof {
    const { sequence, hash } = this.#head;
    if (last !== sequence) this.#fault(gap(sequence, last + 1));
    if (!this.#isPinSeen) {
      const fault = `No entry has the hash ${this.#pin}`;
      this.#faults.splice(FAULTS_MAX - 1);
      this.#fault(`${fault}: entries were removed, altered or trimmed since`);
    }
    return { faults: this.#faults, count: this.#count, head: { sequence, hash } };
  }

  #fault(fault: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push(fault);
  }

  /** What was before the first entry that is left. */
  #beginning(first: number, trimmed: string | undefined): AuditHead {
    if (first === 1) return { sequence: 0, hash: AUDIT_GENESIS };
    const [through, hash = ""] = (trimmed ?? "").split(" ");
    if (Number(through) !== first - 1) {
      this.#fault(`Entries before ${first} are missing, and no entry says that they were trimmed`);
    }
    return { sequence: first - 1, hash: Buffer.from(hash, "hex") };
  }
}

function gap(before: number, after: number): string {
  if (after <= before) return `Entry ${after} is not in its place`;
  const [from, to] = [before + 1, after - 1];
  return from === to ? `Entry ${from} is missing` : `Entries ${from} to ${to} are missing`;
}
