/**
 * How many requests to the backend may run at once.
 *
 * The rules are (RFC 5681's slow start and congestion avoidance, counted in requests):
 * - it begins at its minimum, and grows by one with every success until the first failure;
 * - a failure halves it; after that it grows by one for about every full round of successes;
 * - it is never below 2 (or its maximum, if less), so one request that hangs does not stop the rest.
 */

/** Requests at once at the start and after an outage of the backend; its maximum may be less. */
export const CONCURRENCY_MIN = 2;

/** The limit for one backend. */
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

  /** Requests that may run now; a whole number. */
  get limit(): number {
    return Math.floor(this.#limit);
  }

  /** The backend answered and did not ask for a pause. */
  succeeded(): void {
    const growth = this.#limit < this.#threshold ? 1 : 1 / this.#limit;
    this.#limit = Math.min(this.#max, this.#limit + growth);
  }

  /** The backend did not answer, or asked for a pause. */
  failed(): void {
    this.#threshold = Math.max(this.#min, this.#limit / 2);
    this.#limit = this.#threshold;
  }
}
