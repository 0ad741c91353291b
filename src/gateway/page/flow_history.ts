/**
 * What flowed in the last hour, by intervals, for the page's charts.
 *
 * The rules are:
 * - it is one addition an event, in a ring of numbers that has its size from the start;
 * - nothing runs while nothing happens: what an interval without an event had waiting is filled in when
 *   the next one begins, or when somebody looks: as many as before what happens then.
 */

import type { GatewayEvent } from "../../core/event.ts";
import { REJECTION_CODES, type RejectionCode } from "../../core/rejection.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";

/** Length of an interval, milliseconds. */
export const INTERVAL_MS = 10_000;

/** How many intervals there are. */
export const INTERVALS = 360;

const CODES: ReadonlyMap<RejectionCode, number> = new Map(
  REJECTION_CODES.map((code, i) => [code, i]),
);

/** The hour, oldest first; all arrays are of one length. */
interface Flow {
  readonly interval_seconds: number;
  /** When the last interval ends, Unix seconds. */
  readonly end: number;
  readonly accepted: readonly number[];
  readonly delivered: readonly number[];
  readonly waiting: readonly number[];
  /** By code, of those that there were. */
  readonly rejected: Readonly<Record<string, readonly number[]>>;
}

/** The history; it outlives a gateway that is replaced by another in the same process. */
export class FlowHistory {
  readonly #clock: Clock;
  readonly #accepted = new Uint32Array(INTERVALS);
  readonly #delivered = new Uint32Array(INTERVALS);
  readonly #waiting = new Uint32Array(INTERVALS);
  readonly #rejected = REJECTION_CODES.map(() => new Uint32Array(INTERVALS));
  /** How many entries wait. */
  #pending = 0;
  /** The interval that is not over, counted from the clock's beginning. */
  #current: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#current = this.#intervalNow();
  }

  /** So many entries wait from now on. */
  wait(pending: number): void {
    this.#place();
    this.#pending = pending;
  }

  /** Counts an event. */
  take(event: GatewayEvent): void {
    switch (event.kind) {
      case "message_accepted":
        this.#accepted[this.#place()]!++;
        return;
      case "message_delivered":
        this.#delivered[this.#place()]!++;
        return;
      case "message_rejected":
        this.#rejected[CODES.get(event.rejection.code)!]![this.#place()]!++;
        return;
    }
  }

  /** What there was until now. */
  read(): Flow {
    const place = this.#place();
    this.#waiting[place] = this.#pending;
    const inOrder = (
      ring: Uint32Array,
    ) => [...ring.subarray(place + 1), ...ring.subarray(0, place + 1)];
    const occurred = REJECTION_CODES.map((code, i) => [code, inOrder(this.#rejected[i]!)] as const)
      .filter(([, counts]) => counts.some((count) => count > 0));
    const passedMs = this.#clock.monotonicMs() - this.#current * INTERVAL_MS;
    return {
      interval_seconds: secondsOf(INTERVAL_MS),
      end: secondsOf(this.#clock.wallMs() - passedMs + INTERVAL_MS),
      accepted: inOrder(this.#accepted),
      delivered: inOrder(this.#delivered),
      waiting: inOrder(this.#waiting),
      rejected: Object.fromEntries(occurred),
    };
  }

  /** Where the interval that is not over is counted. */
  #place(): number {
    const now = this.#intervalNow();
    if (now !== this.#current) this.#begin(now);
    return now % INTERVALS;
  }

  #begin(now: number): void {
    const pending = this.#pending;
    const first = Math.max(this.#current + 1, now - INTERVALS + 1);
    this.#waiting[this.#current % INTERVALS] = pending;
    for (let interval = first; interval <= now; interval++) {
      const place = interval % INTERVALS;
      for (const ring of [this.#accepted, this.#delivered, ...this.#rejected]) ring[place] = 0;
      this.#waiting[place] = pending;
    }
    this.#current = now;
  }

  #intervalNow(): number {
    return Math.floor(this.#clock.monotonicMs() / INTERVAL_MS);
  }
}
