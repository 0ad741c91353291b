/** When something that stays wrong is said again: after a minute, then at pauses that double. */

const FIRST_PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 3_600_000;

/** One thing that is wrong; times are monotonic milliseconds. */
export class Reminder {
  #saidMs: number;
  #pauseMs = FIRST_PAUSE_MS;

  /** It is said for the first time, or need not be said before a pause has gone by. */
  constructor(nowMs: number) {
    this.#saidMs = nowMs;
  }

  /** True if it is to be said again now; what has changed need not wait for longer than a minute. */
  isDue(nowMs: number, { changed = false } = {}): boolean {
    if (nowMs - this.#saidMs < (changed ? FIRST_PAUSE_MS : this.#pauseMs)) return false;
    this.#saidMs = nowMs;
    this.#pauseMs = Math.min(LONGEST_PAUSE_MS, this.#pauseMs * 2);
    return true;
  }
}
