/**
 * The message ids that devices have used, in the store.
 *
 * The rules are:
 * - ids are kept by time, never by count: as long as their message could still be in range;
 * - they stand in slices, the last of which takes the new ones until it is full or old; a slice is
 *   forgotten as a whole, once the newest timestamp in it is out of range, so that forgetting touches
 *   each page once and not once for every id; and new ids, random as they are, change the few pages
 *   of one small slice only;
 * - every slice has a filter in memory, which mostly knows that an id is new without a look into the
 *   slice; a filter may know of too many ids, which costs a look, but never of too few;
 * - the newest timestamp ever forgotten is kept for good (`forgotten_seconds`), and a message that
 *   old or older is never accepted, so a clock that steps back makes nothing fresh again; a clock
 *   that stepped far ahead and came back costs nothing, since only what was really held moves it;
 * - an id is compared as its 16 bytes, so that its case does not matter.
 */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import { BANK_FILTERS, BloomFilters, FILTER_IDS, hashOf } from "./bloom_filters.ts";
import type { Database } from "./database.ts";

/** Ids that are removed at once, so that it never holds up intake for long: some milliseconds. */
const CLEAR_MAX = 2_000;

/** What is known of a slice. */
interface Segment {
  /** Counts up from one slice to the next. */
  readonly number: number;
  /** The wall clock when it was opened, Unix seconds. */
  readonly openedSeconds: number;
  /** The newest timestamp in it, Unix seconds. */
  newestSeconds: number;
  /** That it took, less those that were removed since it was read. */
  ids: number;
}

/**
 * The remembered ids. What changes them belongs inside a transaction, between `begin()` and `end()`;
 * without a `keep()` after it, what is on the disk counts, and not what was done.
 */
export class ReplayGuard {
  readonly #store: Database;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #clear: StatementSync;
  readonly #write: StatementSync;
  readonly #close: StatementSync;
  readonly #drop: StatementSync;
  /** Bank n has the filters of the 32 slices from 32 n on. */
  readonly #banks = new Map<number, BloomFilters>();
  /** In the order of their numbers. */
  #slices: Segment[] = [];
  /** The one that takes new ids: the last, or none. */
  #open: Segment | undefined;
  #nowSeconds = 0;
  /** There are new ids in this transaction. */
  #hasNew = false;
  /** False from `begin()` to `keep()`: what is in memory may not be on the disk. */
  #isKept = true;

  constructor(store: Database) {
    this.#store = store;
    this.#find = store.prepare(
      "SELECT 1 FROM replay_guard WHERE slice = ? AND device_id = ? AND message_id = ?",
    );
    this.#insert = store.prepare("INSERT INTO replay_guard VALUES (?, ?, ?)");
    // In the order of the key, so that whole pages become empty.
    this.#clear = store.prepare(`
      DELETE FROM replay_guard WHERE (slice, device_id, message_id) IN (
        SELECT slice, device_id, message_id FROM replay_guard WHERE slice = ?
        ORDER BY device_id, message_id LIMIT ${CLEAR_MAX}
      )`);
    this.#write = store.prepare("REPLACE INTO replay_slices VALUES (?, ?, ?, ?, NULL)");
    this.#close = store.prepare("UPDATE replay_slices SET filter = ? WHERE number = ?");
    this.#drop = store.prepare("DELETE FROM replay_slices WHERE number = ?");
    this.#readSlices();
  }

  /**
   * Begins a transaction's work; a slice that was opened `sliceSeconds` ago takes no more ids.
   * `nowSeconds` is the wall clock, Unix seconds.
   */
  begin(nowSeconds: number, sliceSeconds: number): void {
    if (!this.#isKept) this.#readSlices();
    this.#isKept = false;
    this.#hasNew = false;
    this.#nowSeconds = nowSeconds;
    if (this.#open === undefined) return;
    const { number, openedSeconds, ids } = this.#open;
    if (ids < FILTER_IDS && Math.abs(nowSeconds - openedSeconds) < sliceSeconds) return;
    this.#close.run(this.#bankOf(number).bytesOf(number % BANK_FILTERS), number);
    this.#open = undefined;
  }

  /** Ends a transaction's work. */
  end(): void {
    if (!this.#hasNew) return;
    const { number, openedSeconds, newestSeconds, ids } = this.#open!;
    this.#write.run(number, openedSeconds, newestSeconds, ids);
  }

  /** The transaction's work is on the disk. */
  keep(): void {
    this.#isKept = true;
  }

  /** True where the device has used this id (a UUID's text) before. */
  remembers(deviceId: string, messageId: string): boolean {
    const id = uuidBytes(messageId);
    const hash = hashOf(deviceId, id);
    for (const [n, bank] of this.#banks) {
      const filters = bank.mayHave(hash);
      if (filters === 0) continue;
      for (let filter = 0; filter < BANK_FILTERS; filter++) {
        const slice = n * BANK_FILTERS + filter;
        if (filters >>> filter & 1 && this.#find.get(slice, deviceId, id)) return true;
      }
    }
    return false;
  }

  /** Remembers an id with its message's timestamp. */
  remember(deviceId: string, messageId: string, timestampSeconds: number): void {
    const slice = this.#open ??= this.#openSlice();
    const id = uuidBytes(messageId);
    this.#insert.run(slice.number, deviceId, id);
    this.#bankOf(slice.number).add(slice.number % BANK_FILTERS, hashOf(deviceId, id));
    slice.newestSeconds = Math.max(slice.newestSeconds, timestampSeconds);
    slice.ids++;
    this.#hasNew = true;
  }

  /** Timestamps up to and including this one may belong to forgotten ids; Unix seconds. */
  forgottenSeconds(): number {
    return this.#store.readMark("forgotten_seconds");
  }

  /**
   * Forgets slices that have no timestamp from `beforeSeconds` on, save the one that takes new ids;
   * true where there may be more to do, since what is forgotten is removed bit by bit.
   */
  forget(beforeSeconds: number): boolean {
    const due = this.#slices.findIndex((slice) =>
      slice !== this.#open && slice.newestSeconds < beforeSeconds
    );
    const slice = this.#slices[due];
    if (slice === undefined) return false;
    if (slice.newestSeconds > this.forgottenSeconds()) {
      this.#store.writeMark("forgotten_seconds", slice.newestSeconds);
    }
    const removed = Number(this.#clear.run(slice.number).changes);
    slice.ids -= removed;
    if (removed === CLEAR_MAX) return true;
    this.#drop.run(slice.number);
    this.#slices.splice(due, 1);
    this.#dropBanks();
    return true;
  }

  /** The newest timestamp that is remembered, Unix seconds; 0 where there is none. */
  newestSeconds(): number {
    return this.#slices.reduce((newest, slice) => Math.max(newest, slice.newestSeconds), 0);
  }

  /** How many ids the store holds, those among them that are on their way out. */
  count(): number {
    return this.#slices.reduce((sum, { ids }) => sum + ids, 0);
  }

  #openSlice(): Segment {
    const slice = {
      number: (this.#slices.at(-1)?.number ?? 0) + 1,
      openedSeconds: this.#nowSeconds,
      newestSeconds: 0,
      ids: 0,
    };
    this.#slices.push(slice);
    return slice;
  }

  /** Reads what is on the disk, filters as well: a slice may have the number of another that failed. */
  #readSlices(): void {
    this.#banks.clear();
    const rows = this.#store.prepare(`
      SELECT number, opened_seconds, newest_seconds, ids, filter IS NULL AS is_open
      FROM replay_slices ORDER BY number`).all();
    this.#slices = rows.map((row) => ({
      number: row["number"] as number,
      openedSeconds: row["opened_seconds"] as number,
      newestSeconds: row["newest_seconds"] as number,
      ids: row["ids"] as number,
    }));
    for (const { number } of this.#slices) this.#readFilter(number);
    this.#open = rows.at(-1)?.["is_open"] === 1 ? this.#slices.at(-1) : undefined;
  }

  /** As it was kept; or made anew, where the slice was open when its process ended. */
  #readFilter(slice: number): void {
    const bank = this.#bankOf(slice);
    const filter = slice % BANK_FILTERS;
    const { filter: kept } = this.#store
      .prepare("SELECT filter FROM replay_slices WHERE number = ?").get(slice)!;
    if (kept instanceof Uint8Array && bank.restore(filter, kept)) return;
    const ids = this.#store
      .prepareArrays("SELECT device_id, message_id FROM replay_guard WHERE slice = ?");
    for (const [deviceId, id] of ids.iterate(slice) as Iterable<SQLOutputValue[]>) {
      bank.add(filter, hashOf(deviceId as string, id as Uint8Array));
    }
  }

  #bankOf(slice: number): BloomFilters {
    const n = Math.floor(slice / BANK_FILTERS);
    const bank = this.#banks.get(n) ?? new BloomFilters();
    this.#banks.set(n, bank);
    return bank;
  }

  /** Lets go of banks whose slices are all gone. */
  #dropBanks(): void {
    const used = new Set(this.#slices.map(({ number }) => Math.floor(number / BANK_FILTERS)));
    for (const n of this.#banks.keys()) if (!used.has(n)) this.#banks.delete(n);
  }
}

function uuidBytes(messageId: string): Uint8Array {
  return Uint8Array.fromHex(messageId.replaceAll("-", ""));
}
