/**
 * When a lane whose entry failed is tried again, and when that is said.
 *
 * The rules are:
 * - each try waits longer than the one before, or as long as the backend asks;
 * - an entry that holds up its device is named at once, and again at growing pauses; while the
 *   backend takes nothing at all, that alone is said;
 * - when the backend answers again, no lane waits any longer for an answer that did not come.
 */

import { type Outcome, retryDelayMs } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Clock } from "../../time/clock.ts";
import type { BackendHealth } from "./backend_health.ts";
import type { Lane, Lanes } from "./lanes.ts";
import { Reminder } from "./reminder.ts";

/** What the retries work with. */
export interface LaneRetryParts {
  readonly clock: Clock;
  /** Unix milliseconds that never step; the clock of `OutboxEntry.acceptedMs`. */
  readonly steadyMs: () => number;
  /** In [0, 1); spreads retries. */
  readonly random: () => number;
  readonly emit: Emit;
}

/** Their settings. */
export interface LaneRetryOptions {
  readonly retryFirstMs: number;
  readonly retryLongestMs: number;
  readonly giveUpAfterMs: number;
}

/** What they belong to; `wake` is called when a lane may be tried again. */
interface LaneRetryOwner {
  readonly lanes: Lanes;
  readonly health: Pick<BackendHealth, "fault">;
  readonly wake: (lane: Lane) => void;
}

/** The retries. */
export class LaneRetries {
  readonly #parts: LaneRetryParts;
  readonly #options: LaneRetryOptions;
  readonly #owner: LaneRetryOwner;
  #isStopped = false;

  constructor(parts: LaneRetryParts, options: LaneRetryOptions, owner: LaneRetryOwner) {
    this.#parts = parts;
    this.#options = options;
    this.#owner = owner;
  }

  /** No lane is woken any longer. */
  stop(): void {
    this.#isStopped = true;
    for (const lane of this.#owner.lanes) clearTimeout(lane.timer);
  }

  /** True if an entry has been tried for so long that it is given up. */
  isOver({ acceptedMs }: OutboxEntry): boolean {
    return this.#parts.steadyMs() - acceptedMs > this.#options.giveUpAfterMs;
  }

  /** The entry in front has failed: it is tried again after a while. */
  plan(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    const { retryFirstMs, retryLongestMs } = this.#options;
    const { random, clock, emit } = this.#parts;
    const delayMs = retryDelayMs(outcome, lane.tries, {
      backoff: { firstMs: retryFirstMs, longestMs: retryLongestMs },
      random: random(),
      nowMs: clock.wallMs(),
    });
    emit({ kind: "delivery_retried", entry, outcome, delayMs });
    this.#remind(lane, entry, outcome);
    lane.failure = outcome.kind === "answer" ? `status ${outcome.status}` : "no answer";
    lane.unanswered = outcome.kind === "no_answer";
    this.wait(lane, delayMs);
  }

  /** Wakes a lane after a while. */
  wait(lane: Lane, delayMs: number): void {
    if (!this.#isStopped) lane.timer = setTimeout(() => this.wake(lane), delayMs);
  }

  /** Wakes a lane now. */
  wake(lane: Lane): void {
    clearTimeout(lane.timer);
    lane.timer = undefined;
    lane.unanswered = false;
    this.#owner.wake(lane);
  }

  /** The backend answers again: no lane waits for it any longer. */
  wakeUnanswered(): void {
    const { lanes } = this.#owner;
    lanes.forgetFailedBatches();
    for (const lane of lanes) if (lane.unanswered) this.wake(lane);
  }

  #remind(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    const { clock, steadyMs, emit } = this.#parts;
    const { health, lanes } = this.#owner;
    lane.reminder ??= new Reminder(clock.monotonicMs());
    if (health.fault !== undefined && lanes.size > 1) return;
    if (!lane.reminder.isDue(clock.monotonicMs())) return;
    lane.stuck = true;
    const ageMs = Math.max(0, steadyMs() - entry.acceptedMs);
    emit({ kind: "delivery_stuck", entry, outcome, ageMs, tries: lane.tries });
  }
}
