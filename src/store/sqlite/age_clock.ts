/**
 * The time by which what is old is deleted.
 *
 * The rules are:
 * - it follows the wall clock back at once, and ahead at no more than ten times the pace of the clock
 *   that never steps, also across a restart: a wall clock that is wrong for an hour makes nothing
 *   older by more than ten, and after a stop of ten days it is right again within one;
 * - where the wall clock is behind what is known to have happened, the latter counts.
 */

import type { Database } from "./database.ts";

/** How fast it goes while the wall clock is ahead of it. */
const CATCH_UP_PACE = 10;

/** How far it goes before that is marked on the disk, milliseconds. */
const MARK_EVERY_MS = 600_000;

const AGE_CLOCK_MARK = "age_clock_ms";

/** The clock; `move` belongs inside a transaction. */
export class AgeClock {
  readonly #store: Database;
  /** The latest time that is believed, Unix milliseconds. */
  #latestMs: number | undefined;
  #markedMs: number;
  #steadyMs: number | undefined;

  constructor(store: Database) {
    this.#store = store;
    this.#markedMs = store.readMark(AGE_CLOCK_MARK);
    this.#latestMs = this.#markedMs || undefined;
  }

  /** The time for ages, Unix milliseconds; called often. */
  move({ wallMs, steadyMs }: { readonly wallMs: number; readonly steadyMs: number }): number {
    this.#latestMs ??= Math.max(wallMs, this.#lastEntryMs());
    const elapsedMs = Math.max(0, steadyMs - (this.#steadyMs ?? steadyMs));
    this.#steadyMs = steadyMs;
    const aheadMs = Math.max(0, wallMs - this.#latestMs);
    this.#latestMs += Math.min(aheadMs, elapsedMs * CATCH_UP_PACE);
    this.#mark(this.#latestMs);
    return Math.min(wallMs, this.#latestMs);
  }

  /** The time of an event by the wall clock, or what it must have been at least if that is behind. */
  timeOf(wallMs: number): number {
    return Math.max(wallMs, this.#latestMs ?? wallMs);
  }

  /** On the first start: the machine may not know the time yet. */
  #lastEntryMs(): number {
    const row = this.#store.prepare("SELECT max(at) AS at FROM audit").get();
    return ((row?.["at"] ?? 0) as number) * 1000;
  }

  #mark(ms: number): void {
    if (ms - this.#markedMs < MARK_EVERY_MS) return;
    this.#store.writeMark(AGE_CLOCK_MARK, Math.floor(ms));
    this.#markedMs = ms;
  }
}
