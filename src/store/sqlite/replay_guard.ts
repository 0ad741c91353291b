/**
 * The message ids that devices have used, in the store.
 *
 * The rules are:
 * - ids are kept by time, never by count: as long as their message could still be in range;
 * - they are kept in segments, the last of which takes the new ones until it is full or old; a segment is
 *   forgotten as a whole, once the newest timestamp in it is out of range, so that forgetting touches
 *   each page once and not once for every id; and new ids, random as they are, change the few pages
 *   of one small segment only;
 * - every segment has a filter in memory, which mostly knows that an id is new without a look into the
 *   segment; a filter may know of too many ids, which costs a look, but never of too few;
 * - the newest timestamp ever forgotten is kept permanently (`forgotten_seconds`), and a message that
 *   old or older is never accepted, so a clock that steps back makes nothing fresh again; a clock
 *   that stepped far ahead and came back costs nothing, since only what was really held moves it;
 * - ids may be kept longer, counted from when they were used: so a reading that is signed again, with a
 *   new timestamp, is known;
 * - an id is compared as its 16 bytes, so that its case does not matter.
 */

import type { KnownIds } from "../../core/admission.ts";
import type { SQLOutputValue, StatementSync } from "node:sqlite";
import { BANK_FILTERS, BloomFilters, FILTER_IDS, hashOf } from "./bloom_filters.ts";
import type { RememberedId } from "../store.ts";
import type { Database } from "./database.ts";

/** Ids that are removed at once, so that it never holds up intake for long: some milliseconds. */
const CLEAR_MAX = 2_000;

/** What is known of a segment. */
interface Segment {
  /** Counts up from one segment to the next. */
  readonly number: number;
  /** The wall clock when it was opened, Unix seconds. */
  readonly openedSeconds: number;
  /** The newest timestamp in it, Unix seconds. */
  newestSeconds: number;
  /** That it took, less those that were removed since it was read. */
  ids: number;
  /** Readings with these ids have higher numbers in the outbox. */
  readonly afterSequence: number;
  /** The wall clock when it took its last id, Unix seconds. */
  lastSeconds: number;
}

/**
 * The remembered ids. `remember` and `forget` belong inside the guard's own `transaction`.
 */
export class ReplayGuard implements KnownIds {
  readonly #store: Database;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #clear: StatementSync;
  readonly #write: StatementSync;
  readonly #close: StatementSync;
  readonly #drop: StatementSync;
  readonly #lastSequence: StatementSync;
  /** Bank n has the filters of the 32 segments from 32 n on. */
  readonly #banks = new Map<number, BloomFilters>();
  /** In the order of their numbers. */
  #segments: Segment[] = [];
  /** The one that takes new ids: the last, or none. */
  #open: Segment | undefined;
  #nowSeconds = 0;
  /** There are new ids in this transaction. */
  #hasNew = false;
  /** True while a transaction runs, and after one that failed: memory may not be what is on the disk. */
  #isStale = false;

  constructor(store: Database) {
    this.#store = store;
    this.#find = store.prepare(
      "SELECT 1 FROM replay_guard WHERE slice = ? AND device_id = ? AND message_id = ?",
    );
    this.#insert = store.prepare("INSERT OR IGNORE INTO replay_guard VALUES (?, ?, ?)");
    // In the order of the key, so that whole pages become empty.
    this.#clear = store.prepare(`
      DELETE FROM replay_guard WHERE (slice, device_id, message_id) IN (
        SELECT slice, device_id, message_id FROM replay_guard WHERE slice = ?
        ORDER BY device_id, message_id LIMIT ${CLEAR_MAX}
      )`);
    this.#write = store.prepare("REPLACE INTO replay_slices VALUES (?, ?, ?, ?, NULL, ?, ?)");
    this.#close = store.prepare("UPDATE replay_slices SET filter = ? WHERE number = ?");
    this.#drop = store.prepare("DELETE FROM replay_slices WHERE number = ?");
    this.#lastSequence = store.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'");
    this.#read();
  }

  /**
   * Runs `work`, which changes the ids, in one transaction. A segment that was opened
   * `segmentSeconds` ago takes no more ids; `nowSeconds` is the wall clock, Unix seconds. If it fails,
   * whatever is on the disk counts, and is read again.
   */
  transaction<T>(
    options: { readonly nowSeconds: number; readonly segmentSeconds: number },
    work: () => T,
  ): T {
    if (this.#isStale) this.#read();
    this.#isStale = true;
    this.#hasNew = false;
    this.#nowSeconds = options.nowSeconds;
    const result = this.#store.transaction(() => {
      this.#closeOld(options.segmentSeconds);
      const result = work();
      this.#writeOpen();
      return result;
    });
    this.#isStale = false;
    return result;
  }

  #closeOld(segmentSeconds: number): void {
    if (this.#open === undefined) return;
    const { number, openedSeconds, ids } = this.#open;
    const isOld = Math.abs(this.#nowSeconds - openedSeconds) >= segmentSeconds;
    if (ids < FILTER_IDS && !isOld) return;
    this.#close.run(this.#bankOf(number).bytesOf(number % BANK_FILTERS), number);
    this.#open = undefined;
  }

  #writeOpen(): void {
    if (!this.#hasNew) return;
    const { number, openedSeconds, newestSeconds, ids, afterSequence, lastSeconds } = this.#open!;
    this.#write.run(number, openedSeconds, newestSeconds, ids, afterSequence, lastSeconds);
  }

  /** True if the device has used this id (a UUID's text, in any case) before. */
  has(deviceId: string, messageId: string): boolean {
    return this.#segmentOf(deviceId, messageId) !== undefined;
  }

  /** What is known of an id that the device has used; undefined if it has not. */
  find(deviceId: string, messageId: string): RememberedId | undefined {
    const number = this.#segmentOf(deviceId, messageId);
    const segment = this.#segments.find((segment) => segment.number === number);
    return segment && { sinceSeconds: segment.openedSeconds, newestSeconds: segment.newestSeconds };
  }

  /** Between which numbers in the outbox a reading has its own, if its id is known. */
  sequencesOf(deviceId: string, messageId: string): { after: number; upTo: number } {
    const number = this.#segmentOf(deviceId, messageId);
    const place = this.#segments.findIndex((segment) => segment.number === number);
    return {
      after: this.#segments[place]?.afterSequence ?? 0,
      upTo: this.#segments[place + 1]?.afterSequence ?? Number.MAX_SAFE_INTEGER,
    };
  }

  #segmentOf(deviceId: string, messageId: string): number | undefined {
    const id = uuidBytes(messageId);
    const hash = hashOf(deviceId, id);
    for (const [n, bank] of this.#banks) {
      const filters = bank.mayHave(hash);
      if (filters === 0) continue;
      for (let filter = 0; filter < BANK_FILTERS; filter++) {
        const segment = n * BANK_FILTERS + filter;
        if (filters >>> filter & 1 && this.#find.get(segment, deviceId, id)) return segment;
      }
    }
    return undefined;
  }

  /** Remembers an id with its message's timestamp; also one that is remembered with another. */
  remember(deviceId: string, messageId: string, timestampSeconds: number): void {
    const segment = this.#open ??= this.#openSegment();
    const id = uuidBytes(messageId);
    const { changes } = this.#insert.run(segment.number, deviceId, id);
    this.#bankOf(segment.number).add(segment.number % BANK_FILTERS, hashOf(deviceId, id));
    segment.newestSeconds = Math.max(segment.newestSeconds, timestampSeconds);
    segment.lastSeconds = Math.max(segment.lastSeconds, this.#nowSeconds);
    segment.ids += Number(changes);
    this.#hasNew = true;
  }

  /** Timestamps up to and including this one may belong to forgotten ids; Unix seconds. */
  forgottenSeconds(): number {
    return this.#store.readMark("forgotten_seconds");
  }

  /**
   * Forgets segments that have no timestamp from `timestampsBefore` on, and took no id from
   * `usedBefore` on (Unix seconds), save the one that takes new ids; true if there may be more to do,
   * since what is forgotten is removed bit by bit.
   */
  forget(timestampsBefore: number, usedBefore = Infinity): boolean {
    const due = this.#segments.findIndex((segment) =>
      segment !== this.#open && segment.newestSeconds < timestampsBefore &&
      segment.lastSeconds < usedBefore
    );
    const segment = this.#segments[due];
    if (segment === undefined) return false;
    if (segment.newestSeconds > this.forgottenSeconds()) {
      this.#store.writeMark("forgotten_seconds", segment.newestSeconds);
    }
    const removed = Number(this.#clear.run(segment.number).changes);
    segment.ids -= removed;
    if (removed === CLEAR_MAX) return true;
    this.#drop.run(segment.number);
    this.#segments.splice(due, 1);
    this.#dropBanks();
    return true;
  }

  /** The newest timestamp that is remembered, Unix seconds; 0 if there is none. */
  newestSeconds(): number {
    return this.#segments.reduce((newest, segment) => Math.max(newest, segment.newestSeconds), 0);
  }

  /** How many ids the store holds, those among them that are on their way out. */
  count(): number {
    return this.#segments.reduce((sum, { ids }) => sum + ids, 0);
  }

  #openSegment(): Segment {
    const segment = {
      number: (this.#segments.at(-1)?.number ?? 0) + 1,
      openedSeconds: this.#nowSeconds,
      newestSeconds: 0,
      ids: 0,
      afterSequence: this.#lastSequence.get()?.["seq"] as number | undefined ?? 0,
      lastSeconds: 0,
    };
    this.#segments.push(segment);
    return segment;
  }

  /** Reads what is on the disk, filters as well: a segment may have the number of another that failed. */
  #read(): void {
    this.#banks.clear();
    const rows = this.#store.prepare(`
      SELECT number, opened_seconds, newest_seconds, ids, filter IS NULL AS is_open,
        coalesce(after_sequence, 0) AS after_sequence,
        coalesce(last_seconds, newest_seconds) AS last_seconds
      FROM replay_slices ORDER BY number`).all();
    this.#segments = rows.map((row) => ({
      number: row["number"] as number,
      openedSeconds: row["opened_seconds"] as number,
      newestSeconds: row["newest_seconds"] as number,
      ids: row["ids"] as number,
      afterSequence: row["after_sequence"] as number,
      lastSeconds: row["last_seconds"] as number,
    }));
    for (const { number } of this.#segments) this.#readFilter(number);
    this.#open = rows.at(-1)?.["is_open"] === 1 ? this.#segments.at(-1) : undefined;
  }

  /** As it was kept; or made again, if the segment was open when its process ended. */
  #readFilter(segment: number): void {
    const bank = this.#bankOf(segment);
    const filter = segment % BANK_FILTERS;
    const { filter: kept } = this.#store
      .prepare("SELECT filter FROM replay_slices WHERE number = ?").get(segment)!;
    if (kept instanceof Uint8Array && bank.restore(filter, kept)) return;
    const ids = this.#store
      .prepareArrays("SELECT device_id, message_id FROM replay_guard WHERE slice = ?");
    for (const [deviceId, id] of ids.iterate(segment) as Iterable<SQLOutputValue[]>) {
      bank.add(filter, hashOf(deviceId as string, id as Uint8Array));
    }
  }

  #bankOf(segment: number): BloomFilters {
    const n = Math.floor(segment / BANK_FILTERS);
    const bank = this.#banks.get(n) ?? new BloomFilters();
    this.#banks.set(n, bank);
    return bank;
  }

  /** Lets go of banks whose segments are all gone. */
  #dropBanks(): void {
    const used = new Set(this.#segments.map(({ number }) => Math.floor(number / BANK_FILTERS)));
    for (const n of this.#banks.keys()) if (!used.has(n)) this.#banks.delete(n);
  }
}

function uuidBytes(messageId: string): Uint8Array {
  return Uint8Array.fromHex(messageId.replaceAll("-", ""));
}
