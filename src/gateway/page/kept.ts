/** A value that costs something to make, kept for a moment: so many viewers cost as much as one. */

import type { Clock } from "../../time/clock.ts";

/** The value; made when it is asked for, and not before. */
export class Kept<Value> {
  readonly #make: () => Promise<Value>;
  readonly #forMs: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #value: Promise<Value> | undefined;
  #untilMs = -Infinity;

  constructor(make: () => Promise<Value>, forMs: number, clock: Pick<Clock, "monotonicMs">) {
    this.#make = make;
    this.#forMs = forMs;
    this.#clock = clock;
  }

  /** The value, at most so old; what fails is not kept. While it is made it is not made again. */
  get(): Promise<Value> {
    const nowMs = this.#clock.monotonicMs();
    if (this.#value !== undefined && nowMs < this.#untilMs) return this.#value;
    this.#value = this.#make();
    this.#untilMs = Infinity;
    this.#value.then(
      () => this.#untilMs = nowMs + this.#forMs,
      () => this.#value = undefined,
    );
    return this.#value;
  }
}
