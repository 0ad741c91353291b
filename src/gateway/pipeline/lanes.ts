/**
 * One lane for each device that has something to send, and whose turn it is.
 *
 * The rules are:
 * - a lane's entries go in their order, one at a time; a lane that waits for its next try holds up
 *   no other;
 * - lanes with next to nothing waiting go first, so that live messages do not wait behind the
 *   backlog of others; every fourth turn is a backlog's, so that it is not starved either;
 * - entries that failed before have half of the places, and the others never wait for them: an
 *   entry that fails may keep its place until the time-out.
 */

import { Fifo } from "../../core/fifo.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Reminder } from "./reminder.ts";

/** A lane with more entries than this has a backlog. */
const LIVE_MAX = 2;

/** While there are live lanes, one turn in so many goes to a backlog. */
const BACKLOG_TURN = 4;

/** One device's entries, in order. */
export interface Lane {
  readonly deviceId: string;
  readonly sequences: Fifo<number>;
  /** The first of these entries, as far as they are kept in memory. */
  readonly readAhead: Fifo<OutboxEntry>;
  /** Up to here an entry may be one that was requeued: how long it waited says nothing. */
  requeuedUpTo: number;
  /** Entries that another process has taken out of the outbox; they are skipped in their turn. */
  readonly removed: Set<number>;
  /** Tries of the entry in front. */
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** When to say again that the entry in front is stuck; undefined before its first failure. */
  reminder: Reminder | undefined;
  /** True once it was said of the entry in front that it is stuck. */
  stuck: boolean;
  /** True while it waits only because no answer came. */
  unanswered: boolean;
}

/** Open requests, which decide whose turn it is. */
interface Places {
  /** How many requests may be open now. */
  readonly limit: number;
  readonly underWay: number;
  /** Of those, entries that have failed before. */
  readonly retrying: number;
}

/** The lanes. */
export class Lanes {
  readonly #all = new Map<string, Lane>();
  /** Lanes whose first entry may be sent now. */
  readonly #live = new Fifo<Lane>();
  readonly #backlog = new Fifo<Lane>();
  /** Lanes whose first entry has failed, and may be tried again now. */
  readonly #again = new Fifo<Lane>();
  #turn = 0;

  /** Lanes that have something to send. */
  get size(): number {
    return this.#all.size;
  }

  /** Lanes that an entry holds up. */
  get stuck(): number {
    let count = 0;
    for (const lane of this.#all.values()) if (lane.stuck) count++;
    return count;
  }

  [Symbol.iterator](): Iterator<Lane> {
    return this.#all.values();
  }

  /** The lane of a device; undefined if nothing of it waits. */
  find(deviceId: string): Lane | undefined {
    return this.#all.get(deviceId);
  }

  /** A lane of its own for a device that has none; it is empty, and not in any queue. */
  open(deviceId: string): Lane {
    const lane: Lane = {
      deviceId,
      sequences: new Fifo(),
      readAhead: new Fifo(),
      removed: new Set(),
      requeuedUpTo: 0,
      tries: 0,
      timer: undefined,
      reminder: undefined,
      stuck: false,
      unanswered: false,
    };
    this.#all.set(deviceId, lane);
    return lane;
  }

  /** Forgets a lane that is empty. */
  close(lane: Lane): void {
    this.#all.delete(lane.deviceId);
  }

  /** The first entry of a lane may be sent now. */
  enqueue(lane: Lane): void {
    if (lane.tries > 0) this.#again.push(lane);
    else (lane.sequences.length <= LIVE_MAX ? this.#live : this.#backlog).push(lane);
  }

  /** The lane whose turn it is; undefined if none may be served now. */
  dequeue({ limit, underWay, retrying }: Places): Lane | undefined {
    const free = underWay < limit;
    const retries = Math.max(1, limit >> 1);
    if (retrying < retries && (free || retrying === 0) && this.#again.length > 0) {
      return this.#again.shift();
    }
    if (!free && underWay > retrying) return undefined;
    const backlogFirst = ++this.#turn % BACKLOG_TURN === 0;
    const [first, second] = backlogFirst
      ? [this.#backlog, this.#live]
      : [this.#live, this.#backlog];
    return first.shift() ?? second.shift();
  }
}
