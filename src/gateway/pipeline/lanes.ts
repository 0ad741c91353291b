/**
 * One lane for each device that has something to send, and whose turn it is.
 *
 * The rules are:
 * - a lane's entries go in their order, one at a time; a lane that waits for its next try holds up
 *   no other;
 * - lanes with next to nothing waiting go first, so that live messages do not wait behind the
 *   backlog of others; every fourth turn is a backlog's, so that it is not starved either;
 * - entries that failed before have half of the places, and the others never wait for them: an
 *   entry that fails may keep its place until the time-out;
 * - lanes of one batch are all such as failed before, or none is; a batch that failed is followed by
 *   smaller ones, down to single entries, so that one that spoils its batch is soon alone;
 * - a batch takes no more lanes than fill it, so that the others can go in another at the same time;
 *   but as long as there are live lanes, each has its place before a second entry of a backlog;
 * - an entry goes only when no other gateway has an older one of its device;
 * - lanes whose front is a callback have a queue of their own, and what is in it holds up no reading.
 */

import type { Waiting } from "../../core/event.ts";
import { Fifo } from "../../core/fifo.ts";
import { isCallback, type OutboxEntry } from "../../core/outbox_entry.ts";
import type { Reminder } from "./reminder.ts";

/** A lane with more entries than this has a backlog. */
const LIVE_MAX = 2;

/** While there are live lanes, one turn in so many goes to a backlog. */
const BACKLOG_TURN = 4;

/** Callbacks at once. */
const CALLBACKS_MAX = 16;

/** One device's entries, in order. */
export interface Lane {
  readonly deviceId: string;
  readonly sequences: Fifo<number>;
  /** The first of these entries, as far as they are kept in memory. */
  readonly readAhead: Fifo<OutboxEntry>;
  /** Up to here an entry was requeued, or went in a batch: how long it waited says nothing. */
  requeuedUpTo: number;
  /** Entries that another process has taken out of the outbox; they are skipped in their turn. */
  readonly removed: Set<number>;
  /** How many of the first are in a batch that is on its way, or about to be. */
  inFlight: number;
  /** Tries of the entry in front. */
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** When to say again that the entry in front is stuck; undefined before its first failure. */
  reminder: Reminder | undefined;
  /** True once it was said of the entry in front that it is stuck. */
  stuck: boolean;
  /** Why its last try failed, in words that name no address; undefined: it has not failed. */
  failure: string | undefined;
  /** True while it waits only because no answer came. */
  unanswered: boolean;
  /** Most entries of a batch that this lane may be in. */
  batchMax: number;
  /** Entries from this number on wait for an older one that another gateway has; infinite: none do. */
  behindFrom: number;
  /** True while its front is held back for that, and it is in no queue. */
  isHeld: boolean;
}

/** A lane, for those who only look. */
export interface LaneState extends Pick<Lane, "deviceId" | "tries" | "stuck" | "failure"> {
  readonly waiting: number;
  /** The number of the entry in front, and the entry as far as it is in memory. */
  readonly sequence: number;
  readonly front: OutboxEntry | undefined;
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
  /** Lanes whose first entry is a callback, as far as that is known. */
  readonly #callbacks = new Fifo<Lane>();
  /** By device; see `Lane.behindFrom`. */
  readonly #behind = new Map<string, number>();
  readonly #batchMax: number;
  #turn = 0;

  /** `batchMax`: most entries of a batch. */
  constructor(batchMax = 1) {
    this.#batchMax = batchMax;
  }

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

  /** Lanes that an entry holds up, in words; undefined if there is none. */
  get fault(): string | undefined {
    const { stuck } = this;
    const devices = stuck === 1 ? "1 device waits" : `${stuck} devices wait`;
    return stuck === 0 ? undefined : `${devices} behind an entry that the backend does not take`;
  }

  /** Each lane that has an entry, as it is now. */
  *states(): Iterable<LaneState> {
    for (const { deviceId, sequences, readAhead, tries, stuck, failure } of this.#all.values()) {
      const sequence = sequences.peek();
      if (sequence === undefined) continue;
      const waiting = sequences.length;
      yield { deviceId, tries, stuck, failure, waiting, sequence, front: readAhead.peek() };
    }
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
      inFlight: 0,
      tries: 0,
      timer: undefined,
      reminder: undefined,
      stuck: false,
      failure: undefined,
      unanswered: false,
      batchMax: this.#batchMax,
      isHeld: false,
      behindFrom: this.behindFrom(deviceId),
    };
    this.#all.set(deviceId, lane);
    return lane;
  }

  /** Forgets a lane that is empty. */
  close({ deviceId }: Lane): void {
    this.#all.delete(deviceId);
    this.#behind.delete(deviceId);
  }

  /** The first entry of a lane may be sent now, unless another gateway has to send before. */
  enqueue(lane: Lane): void {
    lane.isHeld = lane.sequences.peek()! >= lane.behindFrom;
    if (!lane.isHeld) this.#queueOf(lane).push(lane);
  }

  /** Devices with entries that wait, or may come to wait, for what another gateway has. */
  get behind(): string[] {
    return [...this.#behind.keys()];
  }

  /** See `Lane.behindFrom`. */
  behindFrom(deviceId: string): number {
    return this.#behind.get(deviceId) ?? Infinity;
  }

  /** See `Lane.behindFrom`. */
  setBehind(deviceId: string, from = Infinity): void {
    if (from === Infinity) this.#behind.delete(deviceId);
    else this.#behind.set(deviceId, from);
    const lane = this.#all.get(deviceId);
    if (lane) lane.behindFrom = from;
  }

  /** A lane that had its turn, but no room in the batch: it is the next. */
  putBack(lane: Lane): void {
    this.#queueOf(lane).putBack(lane);
  }

  /** Some of the lane's batch is finished: its next one may be larger. */
  growBatch(lane: Lane): void {
    const more = Math.max(1, lane.batchMax >> 3);
    lane.batchMax = Math.min(this.#batchMax, lane.batchMax + more);
  }

  /** The backend has recovered: the batches were not why it failed. */
  forgetFailedBatches(): void {
    for (const lane of this.#all.values()) lane.batchMax = this.#batchMax;
  }

  /** What waits; `steadyMs` is now, by the clock of `OutboxEntry.acceptedMs`. */
  waiting(steadyMs: number): Waiting {
    const oldest = this.#oldestTried();
    const ageMs = oldest && Math.max(0, steadyMs - oldest.acceptedMs);
    return {
      devices: this.size,
      oldest: oldest && { deviceId: oldest.deviceId, ageMs: ageMs! },
    };
  }

  /** Of the entries in front that were tried, the one that was accepted first. */
  #oldestTried(): OutboxEntry | undefined {
    let oldest: OutboxEntry | undefined;
    for (const { tries, readAhead } of this.#all.values()) {
      const entry = tries > 0 ? readAhead.peek() : undefined;
      if (entry && entry.acceptedMs < (oldest?.acceptedMs ?? Infinity)) oldest = entry;
    }
    return oldest;
  }

  /** The lane whose callback is to be sent, while so many are; undefined if none may be. */
  dequeueCallback(underWay: number): Lane | undefined {
    return underWay < CALLBACKS_MAX ? this.#callbacks.shift() : undefined;
  }

  /** The lanes whose turn it is to be in one batch; empty if none may be served now. */
  dequeueBatch(places: Places): Lane[] {
    const lanes: Lane[] = [];
    let max = 1;
    let waiting = 0;
    for (let next = this.dequeue(places); next !== undefined;) {
      max = lanes.length === 0 ? next.batchMax : Math.min(max, next.batchMax);
      lanes.push(next);
      waiting += next.sequences.length;
      const isFull = waiting >= max && (next.tries > 0 || this.#live.length === 0);
      if (isFull || lanes.length >= max) break;
      const queue = next.tries > 0 ? this.#again : this.#nextFresh();
      if ((queue.peek()?.batchMax ?? 0) <= lanes.length) break;
      next = queue.shift();
    }
    return lanes;
  }

  /** The lane whose turn it is; undefined if none may be served now. */
  dequeue({ limit, underWay, retrying }: Places): Lane | undefined {
    const free = underWay < limit;
    const retries = Math.max(1, limit >> 1);
    if (retrying < retries && (free || retrying === 0) && this.#again.length > 0) {
      return this.#again.shift();
    }
    if (!free && underWay > retrying) return undefined;
    return this.#nextFresh().shift();
  }

  #queueOf(lane: Lane): Fifo<Lane> {
    if (isCallbackNext(lane)) return this.#callbacks;
    if (lane.tries > 0) return this.#again;
    return lane.sequences.length <= LIVE_MAX ? this.#live : this.#backlog;
  }

  /** The queue whose turn it is, of lanes that have not failed. */
  #nextFresh(): Fifo<Lane> {
    const backlogFirst = ++this.#turn % BACKLOG_TURN === 0;
    const [first, second] = backlogFirst
      ? [this.#backlog, this.#live]
      : [this.#live, this.#backlog];
    return first.length > 0 ? first : second;
  }
}

/** True if another process has taken the first entry of a lane out; told once. */
export function takeRemoval({ removed, sequences }: Lane): boolean {
  return removed.size > 0 && removed.delete(sequences.peek()!);
}

/** True if the front of a lane is in memory, and tells of a command's state. */
function isCallbackNext({ readAhead }: Pick<Lane, "readAhead">): boolean {
  const front = readAhead.peek();
  return front !== undefined && isCallback(front);
}
