/** Messages that were accepted and could not be delivered, as the rest of the program sees them. */

import type { DeadLetterCause, ExpiredDeadLetters } from "../core/delivery.ts";
import type { OutboxEntry } from "../core/outbox_entry.ts";

/** A dead letter; `sequence` is the one that it had in the outbox, and its name. */
export type DeadLetter = OutboxEntry & DeadLetterCause;

/** A dead letter whose payload is not at hand. */
export type DeadLetterSummary = Omit<DeadLetter, "payload">;

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

/** How much room a table of them needs. */
export interface Extent {
  /** The highest sequence number; 0 if there are none. */
  readonly lastSequence: number;
  /** The longest device id's length. */
  readonly deviceIdMaxChars: number;
}

/** A part of the dead letters, the newest first. */
export interface NewestDeadLetters {
  /** Of these devices only; undefined: of all. */
  readonly deviceIds: readonly string[] | undefined;
  /** Only those behind this one; undefined: from the newest. */
  readonly before: Pick<DeadLetter, "deadLetteredAtMs" | "sequence"> | undefined;
  readonly limit: number;
}

/** The dead letters; a gateway that runs may write at the same time. */
export interface DeadLetterStore {
  count(): Promise<number>;
  /** How much room a table of them needs. */
  extent(): Promise<Extent>;
  /** Those that are there now, the oldest first. */
  list(): AsyncIterable<DeadLetterSummary>;
  /** Some of them, the newest first. */
  newest(part: NewestDeadLetters): Promise<DeadLetterSummary[]>;
  /** The dead letter of a sequence number; undefined if there is none. */
  find(sequence: number): Promise<DeadLetter | undefined>;
  /** The dead letter of a reading, by its message_id in any case; undefined if there is none. */
  findMessage(deviceId: string, messageId: string): Promise<DeadLetter | undefined>;
  /**
   * Puts those of a selection that are there now back into the outbox, in their order, step by step;
   * yields how many each step took. `nowMs` is the wall clock.
   */
  requeue(selection: Selection, nowMs: number): AsyncIterable<number>;
  /** Drops those of a selection that are there now permanently, in steps as `requeue` does. */
  drop(selection: Selection): AsyncIterable<number>;
}

/** Most dropped dead letters that are named one by one. */
const EXPIRED_NAMED_MAX = 20;

/** Dropped dead letters, the oldest first, as they are told. */
export function expiredOf(dropped: ExpiredDeadLetters["named"]): ExpiredDeadLetters {
  const others = new Map<string, number>();
  for (const { deviceId } of dropped.slice(EXPIRED_NAMED_MAX)) {
    others.set(deviceId, (others.get(deviceId) ?? 0) + 1);
  }
  return { count: dropped.length, named: dropped.slice(0, EXPIRED_NAMED_MAX), others };
}
