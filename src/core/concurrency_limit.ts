/**
 * How many requests may be under way to the backend at once.
 *
 * The rules are (RFC 5681's slow start and congestion avoidance, counted in requests):
 * - it begins at its minimum, and grows by one with every success until the first failure;
 * - a failure halves it; from there on it grows by one for about every full round of successes;
 * - it never leaves its minimum, 2, to its maximum: one request that hangs does not hold up all.
 */

/** Requests at once in the beginning, and after the backend was gone; its maximum may be less. */
export const CONCURRENCY_MIN = 2;

/** The pace of one backend. */
export class ConcurrencyLimit {
  readonly #min: number;
  readonly #max: number;
  #limit: number;
  #threshold: number;

  constructor(max: number) {
    this.#min = Math.min(CONCURRENCY_MIN, max);
    this.#max = max;
    this.#limit = this.#min;
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
    this.#threshold = Math.max(this.#min, this.#limit / 2);
    this.#limit = this.#threshold;
  }
}
