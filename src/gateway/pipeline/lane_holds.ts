/**
 * What decides from outside over what is sent: entries that wait for another gateway's, and whether
 * anything may be sent at all.
 */

import type { WaitingEntry } from "../../core/outbox_entry.ts";
import type { Lanes } from "./lanes.ts";

/** The holds. */
export class LaneHolds {
  readonly #lanes: Lanes;
  readonly #serve: () => void;

  /** `serve` sends what may be sent now. */
  constructor(lanes: Lanes, serve: () => void) {
    this.#lanes = lanes;
    this.#serve = serve;
  }

  /** Devices of which another gateway has older entries: from which number on they wait for them. */
  get behind(): ReadonlyMap<string, number> {
    return this.#lanes.behind;
  }

  /** Another gateway has entries of the device that are older than this one, which comes now. */
  holdBack(entry: WaitingEntry): void {
    this.#lanes.holdBack(entry);
  }

  /** No other gateway has older entries of these devices any longer. */
  release(deviceIds: readonly string[]): void {
    for (const deviceId of deviceIds) this.#lanes.release(deviceId);
    if (deviceIds.length > 0) this.#serve();
  }

  /** Nothing is sent until `resume`: others may take this gateway for dead. */
  pause(): void {
    this.#lanes.isPaused = true;
  }

  /** What waits may be sent again. */
  resume(): void {
    this.#lanes.isPaused = false;
    this.#serve();
  }
}
