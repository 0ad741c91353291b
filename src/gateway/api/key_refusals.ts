/**
 * Requests without the right key, summed up, so that no flood of them fills the log or the audit.
 *
 * The rules are:
 * - the first is told at once; those after it are told with their count when a minute is over;
 * - wrong keys and requests without one are counted apart;
 * - a key itself is never told.
 */

import type { Emit, KeyFault } from "../../core/event.ts";

/** How often a sum is told at most, milliseconds. */
const REFUSALS_EVERY_MS = 60_000;

/** Those that are not told yet. */
interface Sum {
  readonly timer: ReturnType<typeof setTimeout>;
  count: number;
  /** Of the last one. */
  address: string;
}

/** Counts them until it is closed. */
export class KeyRefusals {
  readonly #emit: Emit;
  readonly #everyMs: number;
  readonly #sums = new Map<KeyFault, Sum>();
  #isClosed = false;

  constructor(emit: Emit, everyMs = REFUSALS_EVERY_MS) {
    this.#emit = emit;
    this.#everyMs = everyMs;
  }

  /** A request from this address was refused. */
  add(fault: KeyFault, address: string): void {
    const sum = this.#sums.get(fault);
    if (sum === undefined) return this.#tell(fault, { count: 1, address });
    sum.count++;
    sum.address = address;
  }

  /** Tells what is left. */
  close(): void {
    this.#isClosed = true;
    for (const fault of this.#sums.keys()) this.#endPeriod(fault);
  }

  #tell(fault: KeyFault, { count, address }: Pick<Sum, "count" | "address">): void {
    this.#emit({ kind: "api_key_refused", fault, count, address });
    if (this.#isClosed) return;
    const timer = setTimeout(() => this.#endPeriod(fault), this.#everyMs);
    this.#sums.set(fault, { timer, count: 0, address });
  }

  #endPeriod(fault: KeyFault): void {
    const sum = this.#sums.get(fault)!;
    clearTimeout(sum.timer);
    this.#sums.delete(fault);
    if (sum.count > 0) this.#tell(fault, sum);
  }
}
