/** Messages that were accepted and wait for the backend, as an operator sees them. */

import type { OutboxEntry } from "../core/outbox_entry.ts";

/** What the dead letter says of an entry that was dropped. */
export const DROPPED = "dropped from the outbox by outbox drop";

/** An entry whose payload is not loaded; here, `acceptedMs` is by the wall clock. */
export type OutboxSummary = Omit<OutboxEntry, "payload">;

/** The outbox; a gateway that runs works on it at the same time. */
export interface OutboxStore {
  count(): Promise<number>;
  /** Those that are there now, of all devices or of one, in the order of their numbers. */
  list(deviceId?: string): AsyncIterable<OutboxSummary>;
  /** The entry of a sequence number; undefined if there is none. */
  find(sequence: number): Promise<OutboxEntry | undefined>;
  /** The entry of a reading, by its message_id in any case; undefined if there is none. */
  findMessage(deviceId: string, messageId: string): Promise<OutboxEntry | undefined>;
  /**
   * Makes an entry a dead letter; a gateway that runs notices, and goes on with the device's next
   * one. False if there is none. `nowMs` is the wall clock.
   */
  drop(sequence: number, nowMs: number): Promise<boolean>;
}
