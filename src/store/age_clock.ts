/**
 * The time by which what is old is deleted.
 *
 * The rules are:
 * - it follows the wall clock back at once, and ahead at no more than ten times the pace of the clock
 *   that never steps, also across a restart: a wall clock that is wrong for an hour makes nothing
 *   older by more than ten, and after a stop of ten days it is right again within one;
 * - where the wall clock is behind what is known to have happened, the latter counts.
 */

/** How fast it goes while the wall clock is ahead of it. */
const CATCH_UP_PACE = 10;

/** How far it goes before that is marked on the disk, milliseconds. */
const MARK_EVERY_MS = 600_000;

/** The mark's name. */
export const AGE_CLOCK_MARK = "age_clock_ms";

/** What a store keeps of the clock; `mark` belongs inside a transaction. */
export interface AgeMarks {
  /** As far as it had come when that was last marked, Unix milliseconds; 0: never. */
  readonly markedMs: number;
  /** When the newest entry of the audit was made, Unix milliseconds; asked on a first start. */
  lastEntryMs(): number;
  mark(ms: number): void;
}

/** The clock; `move` belongs inside a transaction. */
export class AgeClock {
  readonly #marks: AgeMarks;
  /** The latest time that is believed, Unix milliseconds. */
  #latestMs: number | undefined;
  #markedMs: number;
  #steadyMs: number | undefined;

  constructor(marks: AgeMarks) {
    this.#marks = marks;
    this.#markedMs = marks.markedMs;
    this.#latestMs = this.#markedMs || undefined;
  }

  /** The time for ages, Unix milliseconds; called often. */
  move({ wallMs, steadyMs }: { readonly wallMs: number; readonly steadyMs: number }): number {
    this.#latestMs ??= Math.max(wallMs, this.#marks.lastEntryMs());
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

  #mark(ms: number): void {
    if (ms - this.#markedMs < MARK_EVERY_MS) return;
    this.#marks.mark(Math.floor(ms));
    this.#markedMs = ms;
  }
}
