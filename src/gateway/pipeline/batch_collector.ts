/**
 * Which entries of some lanes go into one batch.
 *
 * The rules are:
 * - of each lane its front, in order, up to what another process has taken out, and up to a
 *   callback, which goes in a request of its own;
 * - each lane has an equal share of what the batch can hold, and what it does not use goes to the
 *   others: a backlog does not take the room of live lanes;
 * - no two entries have the same message id, which two devices may use: the answer could not tell
 *   them apart;
 * - a batch has at least one entry, however large.
 */

import { type BatchLimits, itemBytes, itemKey } from "../../core/delivery_batch.ts";
import { isCallback, type OutboxEntry } from "../../core/outbox_entry.ts";
import type { LaneReader } from "./lane_reader.ts";
import type { Lane } from "./lanes.ts";

/** What came of one lane. */
export interface BatchShare {
  readonly lane: Lane;
  /** Its entries in the batch. If there are none, `missing` says why. */
  readonly entries: readonly OutboxEntry[];
  /**
   * `no_room`: it has its turn in the next batch; `callback`: its front is in none; `gone`: its front
   * was taken out.
   */
  readonly missing?: "no_room" | "callback" | "unreadable" | "gone";
}

/** What a batch has so far. */
interface Filling {
  readonly keys: Set<string>;
  count: number;
  bytes: number;
}

/** What one lane may add to it. */
interface Allowance {
  readonly count: number;
  /** Bytes of the batch at the end of its share; the first entry may go up to the batch's end. */
  readonly bytesEnd: number;
}

/** Collects batches. */
export class BatchCollector {
  readonly #reader: LaneReader;
  readonly #limits: BatchLimits;

  constructor(reader: LaneReader, limits: BatchLimits) {
    this.#reader = reader;
    this.#limits = limits;
  }

  /** Each lane's share of one batch. */
  async collect(lanes: readonly Lane[]): Promise<BatchShare[]> {
    const max = Math.min(...lanes.map(({ batchMax }) => batchMax));
    const filling: Filling = { keys: new Set(), count: 0, bytes: 0 };
    const shares: BatchShare[] = [];
    for (const [place, lane] of lanes.entries()) {
      const left = lanes.length - place;
      const count = Math.max(1, Math.floor((max - filling.count) / left));
      const bytesEnd = filling.bytes + (this.#limits.bytes - filling.bytes) / left;
      shares.push(await this.#shareOf(lane, filling, { count, bytesEnd }));
    }
    return shares;
  }

  async #shareOf(lane: Lane, filling: Filling, allowance: Allowance): Promise<BatchShare> {
    if (isFull(filling, this.#limits)) return { lane, entries: [], missing: "no_room" };
    if (lane.removed.has(lane.sequences.peek()!)) return { lane, entries: [], missing: "gone" };
    await this.#reader.fill(lane, allowance.count);
    const front = lane.readAhead.first(allowance.count);
    if (front.length === 0) return { lane, entries: [], missing: "unreadable" };
    if (isCallback(front[0]!)) return { lane, entries: [], missing: "callback" };
    const entries: OutboxEntry[] = [];
    for (const entry of front) {
      if (isCallback(entry) || entry.sequence >= lane.behindFrom) break;
      if (lane.removed.has(entry.sequence) || filling.keys.has(itemKey(entry))) break;
      const bytes = filling.bytes + itemBytes(entry);
      const end = entries.length === 0 ? this.#limits.bytes : allowance.bytesEnd;
      if (filling.count > 0 && bytes > end) break;
      filling.keys.add(itemKey(entry));
      filling.count++;
      filling.bytes = bytes;
      entries.push(entry);
    }
    lane.inFlight = entries.length; // from here on: other lanes are read before it is sent
    return entries.length === 0 ? { lane, entries, missing: "no_room" } : { lane, entries };
  }
}

function isFull({ count, bytes }: Filling, limits: BatchLimits): boolean {
  return count > 0 && bytes >= limits.bytes;
}
