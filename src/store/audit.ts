/** The audit log, as the rest of the program sees it. */

import type { AuditNote } from "../core/audit_note.ts";

/** Who made an entry: the gateway, a command of this program, or somebody else on the database. */
export type AuditAuthor = "gateway" | "command" | "another program";

/** An entry in the chain. */
export interface AuditEntry extends AuditNote {
  /** From 1, without a gap. */
  readonly sequence: number;
  readonly author: string;
  /** SHA-256, 32 bytes. */
  readonly hash: Uint8Array;
}

/** The last entry; its hash covers all entries before it. */
export interface AuditHead {
  /** 0: there is no entry yet. */
  readonly sequence: number;
  readonly hash: Uint8Array;
}

/** The hash before the first entry. */
export const AUDIT_GENESIS = new Uint8Array(32);

/** The newest rejection that is known of a device. */
export interface LastRejection {
  /** Unix seconds; of a flood, to within a quarter of an hour. */
  readonly at: number;
  readonly code: string;
}

/** Rejections of one device with one code. */
export interface RejectionCount {
  /** The id in the topic; "*": of many, which are not counted apart. */
  readonly identity: string;
  readonly code: string;
  readonly count: number;
  /** Unix seconds; of a flood, to within a quarter of an hour. */
  readonly first: number;
  readonly last: number;
}

/** Newest entries of the audit that are looked through for rejections. */
export const REJECTIONS_LOOK_BACK_MAX = 50_000;

/** Most devices and codes that are counted apart. */
export const REJECTION_COUNTS_MAX = 10_000;

/** How much of the audit is kept. */
export interface AuditLimits {
  readonly maxCount: number;
  readonly maxAgeMs: number;
}

/** What proving the chain has come to. */
export interface AuditProof {
  /** Empty if nothing was altered, removed or put in another order. */
  readonly faults: readonly string[];
  /** How many entries there are. */
  readonly count: number;
  readonly head: AuditHead;
}

/** The audit log: entries in a chain of hashes. */
export interface AuditStore {
  /** The last entry. */
  head(): Promise<AuditHead>;
  /** Enters what was done to the site and not to the store. */
  enter(note: AuditNote): Promise<void>;
  /** Chains what a program without a chain has left. */
  chainPending(): Promise<void>;
  /** The entries from a time on, Unix seconds, in their order; as they were when this began. */
  since(at: number): AsyncIterable<AuditEntry>;
  /** A device's newest rejection among the newest million entries; undefined if there is none. */
  lastRejection(deviceId: string): Promise<LastRejection | undefined>;
  /** What was rejected since a time, Unix seconds, most first; among the newest entries. */
  rejections(since: number): Promise<RejectionCount[]>;
  /** Proves the chain; `pinned`, if it is given, must be the hash of one of its entries. */
  prove(pinned?: Uint8Array): Promise<AuditProof>;
}
