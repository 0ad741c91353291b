/**
 * How many requests may be under way to the backend at once.
 *
 * The rules are (RFC 5681's slow start and congestion avoidance, counted in requests):
 * - it begins small, and grows by one with every success until the first failure;
 * - a failure halves it; from there on it grows by one for about every full round of successes;
 * - it never leaves 1 to its maximum.
 */

/** Requests at once in the beginning, and after the backend was gone. */
export const PACE_START = 2;

/** The pace of one backend. */
export class Pace {
  readonly #max: number;
  #limit: number;
  #threshold: number;

  constructor(max: number) {
    this.#max = max;
    this.#limit = Math.min(PACE_START, max);
    this.#threshold = max;
  }

  /** Requests that may be under way now; whole. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** The backend has answered in good order. */
  succeeded(): void {
    const growth = this.#limit < this.#threshold ? 1 : 1 / this.#limit;
    this.#limit = Math.min(this.#max, this.#limit + growth);
  }

  /** The backend did not answer, or asked to be left alone. */
  failed(): void {
    this.#threshold = Math.max(PACE_START, this.#limit / 2);
    this.#limit = Math.max(1, this.#limit / 2);
  }
}
