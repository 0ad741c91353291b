/**
 * The message ids that devices have used, in the store.
 *
 * The rules are:
 * - ids are kept by time, never by count: as long as their message could still be in range;
 * - they stand in four slices, one of which takes the new ones; a slice is forgotten as a whole, once
 *   the newest timestamp in it is out of range, so that forgetting touches each page once and not
 *   once for every id;
 * - the newest timestamp ever forgotten is kept for good (`forgotten_seconds`), and a message that
 *   old or older is never accepted, so a clock that steps back makes nothing fresh again; a clock
 *   that stepped far ahead and came back costs nothing, since only what was really held moves it;
 * - an id is compared as its 16 bytes, so that its case does not matter.
 */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import { REPLAY_SLICES } from "./schema.ts";
import type { Store } from "./store.ts";

/** Ids that are removed at once, so that it never holds up intake for long: some milliseconds. */
const CLEAR_MAX = 2_000;

/** What is known of a slice; as its row in `replay_slices`. */
interface Slice {
  /** 1 to 4. */
  readonly number: number;
  /** Counts the openings of slices; 0: it is free, or on its way there. */
  turn: number;
  /** The wall clock when it was opened, Unix seconds. */
  openedSeconds: number;
  /** The newest timestamp in it, Unix seconds. */
  newestSeconds: number;
  ids: number;
}

/** What belongs to one slice. */
interface SliceStatements {
  readonly insert: StatementSync;
  readonly clear: StatementSync;
}

/** The remembered ids; what changes them belongs inside a transaction, between `begin` and `end`. */
export class ReplayGuard {
  readonly #find: StatementSync;
  readonly #read: StatementSync;
  readonly #write: StatementSync;
  readonly #statements: readonly SliceStatements[];
  readonly #store: Store;
  #slices: Slice[];
  readonly #changed = new Set<Slice>();

  constructor(store: Store) {
    this.#store = store;
    this.#find = store.prepare(
      REPLAY_SLICES.map((number) =>
        `SELECT 1 FROM replay_guard_${number} WHERE device_id = ?1 AND message_id = ?2`
      ).join(" UNION ALL "),
    );
    this.#read = store.prepare("SELECT * FROM replay_slices ORDER BY number");
    this.#write = store.prepare("REPLACE INTO replay_slices VALUES (?, ?, ?, ?, ?)");
    this.#statements = REPLAY_SLICES.map((number) => ({
      insert: store.prepare(`INSERT INTO replay_guard_${number} VALUES (?, ?)`),
      // In the order of the key, so that whole pages become empty.
      clear: store.prepare(`
        DELETE FROM replay_guard_${number} WHERE (device_id, message_id) IN (
          SELECT device_id, message_id FROM replay_guard_${number}
          ORDER BY device_id, message_id LIMIT ${CLEAR_MAX}
        )`),
    }));
    this.#slices = this.#readSlices();
  }

  /**
   * Begins a transaction's work. A new slice is opened every `sliceSeconds`, where one is free;
   * `nowSeconds` is the wall clock, Unix seconds.
   */
  begin(nowSeconds: number, sliceSeconds: number): void {
    this.#slices = this.#readSlices(); // an earlier transaction may have failed
    this.#changed.clear();
    const current = this.#current();
    if (Math.abs(nowSeconds - current.openedSeconds) < sliceSeconds) return;
    const free = current.ids === 0 ? current : this.#slices.find(isFree);
    if (free === undefined) return;
    free.turn = current.turn + 1;
    free.openedSeconds = nowSeconds;
    free.newestSeconds = 0;
    this.#changed.add(free);
  }

  /** Ends a transaction's work. */
  end(): void {
    for (const { number, turn, openedSeconds, newestSeconds, ids } of this.#changed) {
      this.#write.run(number, turn, openedSeconds, newestSeconds, ids);
    }
  }

  /** True where the device has used this id (a UUID's text) before. */
  remembers(deviceId: string, messageId: string): boolean {
    return this.#find.get(deviceId, uuidBytes(messageId)) !== undefined;
  }

  /** Remembers an id with its message's timestamp. */
  remember(deviceId: string, messageId: string, timestampSeconds: number): void {
    const slice = this.#current();
    this.#statements[slice.number - 1]!.insert.run(deviceId, uuidBytes(messageId));
    slice.newestSeconds = Math.max(slice.newestSeconds, timestampSeconds);
    slice.ids++;
    this.#changed.add(slice);
  }

  /** Timestamps up to and including this one may belong to forgotten ids; Unix seconds. */
  forgottenSeconds(): number {
    return this.#store.mark("forgotten_seconds");
  }

  /**
   * Forgets slices that have no timestamp from `beforeSeconds` on, save the one that takes new ids;
   * true where there is more to do, since what is forgotten is removed bit by bit.
   */
  forget(beforeSeconds: number): boolean {
    const current = this.#current();
    for (const slice of this.#slices) {
      if (slice.turn === 0 || slice === current || slice.newestSeconds >= beforeSeconds) continue;
      slice.turn = 0;
      const forgotten = Math.max(this.forgottenSeconds(), slice.newestSeconds);
      this.#store.setMark("forgotten_seconds", forgotten);
      this.#changed.add(slice);
    }
    const forgotten = this.#slices.find(({ turn, ids }) => turn === 0 && ids > 0);
    if (forgotten === undefined) return false;
    const { changes } = this.#statements[forgotten.number - 1]!.clear.run();
    forgotten.ids = changes < CLEAR_MAX ? 0 : forgotten.ids - Number(changes);
    this.#changed.add(forgotten);
    return true;
  }

  /** The newest timestamp that is remembered, Unix seconds; 0 where there is none. */
  newestSeconds(): number {
    return Math.max(...this.#slices.map(({ ids, newestSeconds }) => ids > 0 ? newestSeconds : 0));
  }

  /** How many ids the store holds, those among them that are on their way out. */
  count(): number {
    return this.#slices.reduce((sum, { ids }) => sum + ids, 0);
  }

  /** The slice that takes new ids: the one that was opened last. */
  #current(): Slice {
    return this.#slices.reduce((a, b) => b.turn > a.turn ? b : a);
  }

  #readSlices(): Slice[] {
    return this.#read.all().map(sliceOf);
  }
}

function isFree({ turn, ids }: Slice): boolean {
  return turn === 0 && ids === 0;
}

function sliceOf(row: Record<string, SQLOutputValue>): Slice {
  return {
    number: row["number"] as number,
    turn: row["turn"] as number,
    openedSeconds: row["opened_seconds"] as number,
    newestSeconds: row["newest_seconds"] as number,
    ids: row["ids"] as number,
  };
}

function uuidBytes(messageId: string): Uint8Array {
  return Uint8Array.fromHex(messageId.replaceAll("-", ""));
}
