/**
 * How the backend is, learned from the outcomes of what is sent to it: how much it takes at once, and
 * whether it does its job.
 *
 * The rules are:
 * - an entry that fails again and again says nothing new: it may be the entry. So only first tries
 *   shrink the limit, and a row of failures counts only with one of them in it;
 * - a callback has a path of its own: its answer says nothing of readings. That none came does, but
 *   not how much the backend takes at once;
 * - what is wrong is said at once, said again when it changes, and repeated at growing pauses.
 */

import { ConcurrencyLimit } from "../../core/concurrency_limit.ts";
import { type Answer, dispositionOf, type Outcome, shownLocation } from "../../core/delivery.ts";
import type { Emit, Waiting } from "../../core/event.ts";
import { isWrongBackend } from "../../core/retry_statuses.ts";
import type { Clock } from "../../time/clock.ts";
import { Reminder } from "./reminder.ts";

/** Failures in a row, over all lanes, after which the backend counts as failing. */
const FAILING_AFTER_FAILURES = 3;

/** What the health is learned with. */
interface HealthParts {
  /** Most requests at once. */
  readonly concurrency: number;
  readonly retryStatuses: ReadonlySet<number>;
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly emit: Emit;
  /** What waits for the backend now. */
  waiting(): Waiting;
}

/** The state of the backend. */
export class BackendHealth {
  readonly #parts: HealthParts;
  readonly #concurrency: ConcurrencyLimit;
  #reminder: Reminder | undefined;
  #failuresInARow = 0;
  /** True if one of these failures was an entry's first. */
  #freshFailed = false;
  /** The last of these failures. */
  #lastFailure: Outcome | undefined;
  /** The last failure, while the backend fails; undefined while it does its job. */
  #fault: Outcome | undefined;

  constructor(parts: HealthParts) {
    this.#parts = parts;
    this.#concurrency = new ConcurrencyLimit(parts.concurrency);
  }

  /** Requests that may be under way now. */
  get limit(): number {
    return this.#concurrency.limit;
  }

  /** What is wrong with the backend, in words; undefined while it does its job. */
  get fault(): string | undefined {
    return this.#fault && faultOf(this.#fault);
  }

  /** Takes note of an outcome; true if it says that the backend has recovered. */
  record(
    outcome: Outcome,
    { retried, callback = false }: { readonly retried: boolean; readonly callback?: boolean },
  ): boolean {
    const failed = dispositionOf(outcome, this.#parts.retryStatuses) === "retry";
    const isOfItsPath = outcome.kind === "answer" &&
      (failed || this.#lastFailure?.kind === "answer");
    if (callback && isOfItsPath) return false;
    if (failed) {
      if (!callback && (!retried || this.#fault?.kind === "no_answer")) this.#concurrency.failed();
      this.#fail(outcome, retried);
      return false;
    }
    if (!callback) this.#concurrency.succeeded();
    this.#lastFailure = undefined;
    this.#failuresInARow = 0;
    this.#freshFailed = false;
    if (this.#fault === undefined) return false;
    this.#fault = undefined;
    this.#reminder = undefined;
    this.#parts.emit({ kind: "backend_recovered", waiting: this.#parts.waiting() });
    return true;
  }

  #fail(outcome: Outcome, retried: boolean): void {
    this.#failuresInARow++;
    this.#lastFailure = outcome;
    this.#freshFailed ||= !retried;
    const isRow = this.#freshFailed && this.#failuresInARow >= FAILING_AFTER_FAILURES;
    if (this.#fault === undefined && !isRow) return;
    const changed = this.#fault !== undefined && statusOf(this.#fault) !== statusOf(outcome);
    this.#fault = outcome;
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#reminder?.isDue(nowMs, { changed }) === false) return;
    this.#reminder ??= new Reminder(nowMs);
    this.#say(outcome);
  }

  #say(outcome: Outcome): void {
    const waiting = this.#parts.waiting();
    this.#parts.emit(
      outcome.kind === "no_answer"
        ? { kind: "backend_unreachable", reason: outcome.reason, waiting }
        : { kind: "backend_failing", ...failureOf(outcome), waiting },
    );
  }
}

function failureOf({ status, location }: Answer) {
  return { status, location: location ?? undefined };
}

function statusOf(outcome: Outcome): number | undefined {
  return outcome.kind === "answer" ? outcome.status : undefined;
}

function faultOf(outcome: Outcome): string {
  if (outcome.kind === "no_answer") return `the backend does not answer: ${outcome.reason}`;
  const { status, location } = outcome;
  const to = location === null ? "" : `, Location "${shownLocation(location)}"`;
  const doubt = isWrongBackend(status) ? ": check backend.url, its path and its keys" : "";
  return `the backend answers ${status}${to}${doubt}`;
}
