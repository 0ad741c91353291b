/**
 * A time limit for many short tasks at once, without a timer for each.
 *
 * The rules are:
 * - tasks that begin within `SPAN_MS` of each other share one timer and one signal;
 * - no task is ended before its time, nor more than `SPAN_MS` after it;
 * - no timer is left once the tasks have ended.
 */

/** Tasks that begin within this time share a timer, milliseconds. */
const SPAN_MS = 100;

/** Tasks under one signal. */
interface Span {
  readonly signal: AbortSignal;
  readonly stop: AbortSignal;
  /** `performance.now()` when its first task began. */
  readonly sinceMs: number;
  readonly timer: ReturnType<typeof setTimeout>;
  tasks: number;
}

/** One task under the limit. */
export interface LimitedTask {
  /** Aborts when the time is over, or the stop came. */
  readonly signal: AbortSignal;
  /** The task has ended; call it once. */
  end(): void;
}

/** A time limit of so many milliseconds. */
export class SharedDeadline {
  readonly #timeoutMs: number;
  #span: Span | undefined;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  /** Begins a task, which `stop` ends early. */
  begin(stop: AbortSignal): LimitedTask {
    const span = this.#current(stop);
    span.tasks++;
    return { signal: span.signal, end: () => this.#end(span) };
  }

  #current(stop: AbortSignal): Span {
    const nowMs = performance.now();
    const span = this.#span;
    if (span && span.stop === stop && nowMs - span.sinceMs < SPAN_MS) return span;
    return this.#span = this.#open(stop, nowMs);
  }

  #open(stop: AbortSignal, sinceMs: number): Span {
    const late = new AbortController();
    const reason = new Error(`no answer within ${this.#timeoutMs} ms`);
    const timer = setTimeout(() => late.abort(reason), this.#timeoutMs + SPAN_MS);
    return { signal: AbortSignal.any([late.signal, stop]), stop, sinceMs, timer, tasks: 0 };
  }

  #end(span: Span): void {
    if (--span.tasks > 0) return;
    clearTimeout(span.timer);
    if (this.#span === span) this.#span = undefined;
  }
}
