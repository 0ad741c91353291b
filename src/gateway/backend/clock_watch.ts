/**
 * Whether the backend's clock agrees with this one, by the Date of its answers.
 *
 * The rules are:
 * - it is looked at once a minute at most, and a difference is said once an hour at most;
 * - a Date is cut to whole seconds, and was written at some time of the round trip: only what must
 *   be more than half of the tolerance is said, since either clock may be the wrong one.
 */

import type { Emit } from "../../core/event.ts";
import type { Clock } from "../../time/clock.ts";

const LOOK_EVERY_MS = 60_000;
const SAY_EVERY_MS = 3_600_000;
/** Half of what a Date leaves out. */
const DATE_CUT_MS = 500;

/** Compares the backend's clock with this one. */
export class ClockWatch {
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #toleranceSeconds: number;
  #lookedMs = -Infinity;
  #saidMs = -Infinity;
  #aheadSeconds = 0;

  constructor(clock: Clock, options: { readonly emit: Emit; readonly toleranceSeconds: number }) {
    this.#clock = clock;
    this.#emit = options.emit;
    this.#toleranceSeconds = options.toleranceSeconds;
  }

  /** By how much at least the backend's clock is ahead, as its last Date said. */
  get aheadSeconds(): number {
    return this.#aheadSeconds;
  }

  /** Takes an answer's Date; `beganMs`: monotonic, when its request was sent. */
  heard(date: string | null, beganMs: number): void {
    const nowMs = this.#clock.monotonicMs();
    if (date === null || nowMs - this.#lookedMs < LOOK_EVERY_MS) return;
    this.#lookedMs = nowMs;
    const halfTripMs = (nowMs - beganMs) / 2;
    const aheadMs = Date.parse(date) + DATE_CUT_MS - (this.#clock.wallMs() - halfTripMs);
    const surelyMs = Math.abs(aheadMs) - DATE_CUT_MS - halfTripMs;
    if (Number.isNaN(surelyMs)) return; // it was no date
    this.#aheadSeconds = Math.sign(aheadMs) * Math.max(0, surelyMs) / 1000;
    if (surelyMs <= this.#toleranceSeconds * 500 || nowMs - this.#saidMs < SAY_EVERY_MS) return;
    this.#saidMs = nowMs;
    this.#emit({ kind: "clock_differs", aheadSeconds: Math.round(aheadMs / 1000) });
  }
}
