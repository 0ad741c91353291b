/** How long a site took to forward again, fault after fault. */

import { allowedMs } from "./busy_machine.ts";
import type { FaultSite } from "./fault_site.ts";

/** The short forms run side by side, among all the other tests, and measure nothing. */
const SHORT_FORM_PATIENCE = 6;

/** All the times of one scenario. */
export class Recoveries {
  readonly #maxMs: number;
  readonly #allMs: number[] = [];

  /** `maxMs`: longer than this is a violation, where the machine is idle. */
  constructor(maxMs: number, options: { readonly long: boolean }) {
    this.#maxMs = options.long ? maxMs : SHORT_FORM_PATIENCE * maxMs;
  }

  /** Waits for a site's first reading since the fault. */
  async take(site: FaultSite): Promise<void> {
    const tookMs = await site.forwardingAgain();
    this.#allMs.push(tookMs);
    if (tookMs <= allowedMs(this.#maxMs)) return;
    site.violations.push(`Forwarding again only after ${Math.round(tookMs)} ms`);
  }

  toString(): string {
    const sorted = this.#allMs.toSorted((a, b) => a - b);
    const seconds = (ms = NaN) => `${(ms / 1000).toFixed(1)} s`;
    if (sorted.length === 1) return `forwarding again after ${seconds(sorted[0])}`;
    const median = seconds(sorted[sorted.length >> 1]);
    return `forwarding again after ${median}, at worst ${seconds(sorted.at(-1))}`;
  }
}
