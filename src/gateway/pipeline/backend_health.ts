/**
 * How the backend is, learned from the outcomes of what is sent to it: how much it takes at once, and
 * whether it answers at all.
 *
 * An entry that fails again and again says nothing new: it may be the entry. So only first tries
 * shrink the limit, and a row of failures counts only with one of them in it.
 */

import { ConcurrencyLimit } from "../../core/concurrency_limit.ts";
import { dispositionOf, type Outcome } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";

/** Failures in a row, over all lanes, after which the backend counts as unreachable. */
const UNREACHABLE_AFTER_FAILURES = 3;

/** The state of the backend. */
export class BackendHealth {
  readonly #emit: Emit;
  readonly #concurrency: ConcurrencyLimit;
  #failuresInARow = 0;
  /** True if one of these failures was an entry's first. */
  #freshFailed = false;
  #isUnreachable = false;

  /** `concurrency`: most requests at once. */
  constructor(concurrency: number, emit: Emit) {
    this.#concurrency = new ConcurrencyLimit(concurrency);
    this.#emit = emit;
  }

  /** Requests that may be under way now. */
  get limit(): number {
    return this.#concurrency.limit;
  }

  /** Takes note of an outcome; true if it says that the backend has recovered. */
  record(outcome: Outcome, { retried }: { readonly retried: boolean }): boolean {
    if (dispositionOf(outcome) === "retry") {
      this.#fail(outcome, retried);
      return false;
    }
    this.#concurrency.succeeded();
    this.#failuresInARow = 0;
    this.#freshFailed = false;
    if (!this.#isUnreachable) return false;
    this.#isUnreachable = false;
    this.#emit({ kind: "backend_recovered" });
    return true;
  }

  #fail(outcome: Outcome, retried: boolean): void {
    if (!retried || this.#isUnreachable) this.#concurrency.failed();
    if (outcome.kind !== "no_answer") return;
    this.#failuresInARow++;
    this.#freshFailed ||= !retried;
    const isRow = this.#freshFailed && this.#failuresInARow >= UNREACHABLE_AFTER_FAILURES;
    if (this.#isUnreachable || !isRow) return;
    this.#isUnreachable = true;
    this.#emit({ kind: "backend_unreachable", reason: outcome.reason });
  }
}
