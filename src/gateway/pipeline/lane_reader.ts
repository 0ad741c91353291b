/** Reads a lane's next entries from the store, and keeps them in the read-ahead. */

import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { type MessageStore, READ_MAX } from "../../core/ports.ts";
import type { Lane } from "./lanes.ts";
import { ReadAhead } from "./read_ahead.ts";

/** The reader of every lane. */
export class LaneReader {
  readonly #store: Pick<MessageStore, "read">;
  readonly #kept = new ReadAhead();

  constructor(store: Pick<MessageStore, "read">) {
    this.#store = store;
  }

  /** Keeps an entry that has come into its lane just now, if it is the next and there is room. */
  offer({ sequences, readAhead }: Lane, entry: OutboxEntry): void {
    const isNext = readAhead.length === sequences.length - 1 && readAhead.length < READ_MAX;
    if (!isNext || !this.#kept.hasRoom(entry)) return;
    readAhead.push(entry);
    this.#kept.add(entry);
  }

  /**
   * The entry in front, and some that follow; undefined if it cannot be read now. One that the store
   * does not give is not taken for finished: what takes an entry out says so.
   */
  async front(lane: Lane): Promise<OutboxEntry | undefined> {
    await this.#readMore(lane);
    return lane.readAhead.peek();
  }

  /** Reads until so many entries are kept, or no more can be. */
  async fill(lane: Lane, count: number): Promise<void> {
    const { readAhead, sequences } = lane;
    const wanted = Math.min(count, sequences.length);
    for (let before = -1; readAhead.length < wanted && readAhead.length > before;) {
      before = readAhead.length;
      await this.#readMore(lane, wanted - before); // no more: other lanes need the room
    }
  }

  /**
   * Puts an entry into its place by its number, but not before one that may be on its way; what was
   * read ahead from there on is read again.
   */
  insert({ sequences, readAhead, isHeld, inFlight }: Lane, sequence: number): void {
    const least = Math.max(inFlight, isHeld ? 0 : 1);
    const place = sequences.insert(sequence, (one) => one > sequence, least);
    while (readAhead.length > place) this.#kept.remove(readAhead.pop()!);
  }

  /** The entry in front is finished. */
  shift(lane: Lane): void {
    lane.sequences.shift();
    const kept = lane.readAhead.shift();
    if (kept) this.#kept.remove(kept);
  }

  async #readMore({ sequences, readAhead }: Lane, most = Infinity): Promise<void> {
    const from = readAhead.length;
    const count = Math.min(most, this.#kept.readable);
    const next = sequences.first(from + count).slice(from);
    try {
      for (const entry of await this.#store.read(next)) {
        const isNext = entry.sequence === sequences.at(readAhead.length); // one may have come between
        if (!isNext || readAhead.length > 0 && !this.#kept.hasRoom(entry)) break;
        readAhead.push(entry);
        this.#kept.add(entry);
      }
    } catch {
      // the store's fault, which the committer reports and waits out
    }
  }
}
