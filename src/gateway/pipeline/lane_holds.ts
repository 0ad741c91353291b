/**
 * What decides from outside over what is sent: entries that wait for another gateway's, and whether
 * anything may be sent at all.
 */

import type { WaitingEntry } from "../../core/outbox_entry.ts";
import type { Clock } from "../../time/clock.ts";
import type { Lanes } from "./lanes.ts";

/** The holds. */
export class LaneHolds {
  readonly #lanes: Lanes;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #serve: () => void;
  #endsMs = Infinity;

  /** `serve` sends what may be sent now. */
  constructor(lanes: Lanes, clock: Pick<Clock, "monotonicMs">, serve: () => void) {
    this.#lanes = lanes;
    this.#clock = clock;
    this.#serve = serve;
  }

  /** False if others may take this gateway for dead: asked before each request. */
  get maySend(): boolean {
    return this.#endsMs === Infinity || this.#clock.monotonicMs() < this.#endsMs;
  }

  /** Until then others take this gateway for alive, by the monotonic clock. */
  sendUntil(endsMs: number): void {
    this.#endsMs = endsMs;
    this.#serve();
  }

  /** Devices with entries that wait, or may come to wait, for what another gateway has. */
  get behind(): string[] {
    return this.#lanes.behind;
  }

  /** An entry that an earlier run has left waits; they come in the order of their numbers. */
  holdBack({ deviceId, sequence }: WaitingEntry): void {
    if (this.#lanes.behindFrom(deviceId) > sequence) this.#lanes.setBehind(deviceId, sequence);
  }

  /**
   * Of these devices it is known from now on which entry is the oldest that another gateway has; none
   * if `behind` names none. What may go now goes with `release`, once each lane has its entries.
   */
  learn(deviceIds: readonly string[], behind: ReadonlyMap<string, number>): void {
    for (const deviceId of deviceIds) this.#lanes.setBehind(deviceId, behind.get(deviceId));
    for (const [deviceId, oldest] of behind) this.#lanes.setBehind(deviceId, oldest);
  }

  /** Sends of these devices what is held back no longer. */
  release(deviceIds: readonly string[]): void {
    for (const deviceId of deviceIds) {
      const lane = this.#lanes.find(deviceId);
      if (lane?.isHeld) this.#lanes.enqueue(lane);
    }
    if (deviceIds.length > 0) this.#serve();
  }
}
