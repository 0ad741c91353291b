/**
 * An outage is over only when nothing older waits in the broker.
 *
 * It keeps the outage's state (`core/outage.ts`), sends the marker when one is due, and takes note
 * when it comes back.
 */

import type { Emit } from "../../core/event.ts";
import type { Outage, OutageCause } from "../../core/outage.ts";
import type { Broker } from "../../core/ports.ts";
import { MARKER_TOPIC } from "../../core/topic.ts";

/** What it works with. */
interface CatchUpParts {
  readonly outage: Outage;
  readonly broker: Pick<Broker, "publish">;
  readonly emit: Emit;
}

/** Ends an outage once the backlog in the broker is taken. */
export class CatchUp {
  readonly #parts: CatchUpParts;

  constructor(parts: CatchUpParts) {
    this.#parts = parts;
  }

  /** See `Outage.outageSinceSeconds`. */
  get outageSinceSeconds(): number | undefined {
    return this.#parts.outage.outageSinceSeconds;
  }

  /** True while the gateway takes what comes, and nothing older waits. */
  get isDone(): boolean {
    return this.#parts.outage.caughtUp;
  }

  /** Something keeps the gateway from taking messages. */
  begin(cause: OutageCause): void {
    this.#parts.outage.begin(cause);
  }

  /** That something no longer does. */
  end(cause: OutageCause): void {
    this.#parts.outage.end(cause);
    this.#sendMarker();
  }

  /** The gateway is running now; returns the moment to be kept, see `Outage.touch`. */
  touch(nowSeconds: number): number | undefined {
    return this.#parts.outage.touch(nowSeconds);
  }

  /**
   * Takes note of what a batch has brought: its markers, and whether anything in it had waited.
   * `nowMs` is monotonic.
   */
  taken(batch: { readonly markers: readonly string[]; readonly late: boolean }, nowMs: number) {
    const { outage, emit } = this.#parts;
    const before = outage.caughtUp;
    if (batch.late) outage.lateCame(nowMs);
    for (const marker of batch.markers) outage.markerCame(marker);
    if (!before && outage.caughtUp) emit({ kind: "caught_up" });
    else if (outage.expiresQuietly(nowMs)) emit({ kind: "catch_up_unconfirmed" });
    this.#sendMarker();
  }

  async #sendMarker(): Promise<void> {
    const { outage, broker } = this.#parts;
    const marker = outage.markerDue();
    if (marker === undefined) return;
    const sent = await broker.publish(MARKER_TOPIC, new TextEncoder().encode(marker), {});
    if (sent.kind !== "acknowledged" || !sent.subscribers) outage.markerFailed(marker);
  }
}
