/**
 * This gateway among those that share a store.
 *
 * The rules are:
 * - it renews its lease all the time, and sends nothing to the backend once the lease may be over:
 *   others may have taken over what it has;
 * - it takes over what a node has left whose lease is over by the store's clock;
 * - but not if it was away itself: after an outage of the store all leases are over, and the first
 *   gateway that is back would take the others for dead; so it judges only after a whole lease in
 *   which all its own renewals came in time;
 * - without a lease it says why, and is not ready: others send what it has, and what it takes waits.
 */

import type { Emit } from "../../core/event.ts";
import type { NodeStore, SeenNode } from "../../core/ports.ts";
import { aheadInWords } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";
import type { Presence } from "./presence.ts";
import type { LaneHolds } from "../pipeline/lane_holds.ts";

/** Renewals in the time of one lease. */
const RENEWALS = 10;

/** So much of a lease is left when sending stops: an answer may still be under way. */
const MARGIN_SHARE = 0.2;

/** By how much this clock may differ from the store's before that is said, milliseconds. */
const SKEW_MS = 2_000;

/** Why there is no lease, if the store has said nothing. */
const NO_ANSWER = "the store does not answer in time";

/** What it works with. */
interface MembershipParts {
  readonly nodes: Pick<NodeStore, "renewLease" | "adopt">;
  readonly holds: Pick<LaneHolds, "sendUntil">;
  readonly commands: { add(deviceId: string): void };
  readonly presence: Pick<Presence, "seen">;
  readonly clock: Clock;
  readonly emit: Emit;
}

/** Its settings. */
interface MembershipOptions {
  readonly leaseMs: number;
  /** Beyond this, nothing would be fresh that others take for fresh. */
  readonly toleranceSeconds: number;
}

/** The membership. */
export class Membership {
  readonly #parts: MembershipParts;
  readonly #options: MembershipOptions;
  /** Until then others take this gateway for alive, by the monotonic clock. */
  #leaseEndsMs = -Infinity;
  /** Since then every renewal came in time. */
  #inTimeSinceMs = Infinity;
  /** Why the last renewal failed; undefined if it did not. */
  #failure: string | undefined;
  #aheadMs = 0;
  #isSkewed = false;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lapseTimer: ReturnType<typeof setTimeout> | undefined;
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(parts: MembershipParts, options: MembershipOptions) {
    this.#parts = parts;
    this.#options = options;
  }

  /** Takes the first lease; nothing is sent before it is there. */
  async start(): Promise<void> {
    this.#parts.holds.sendUntil(-Infinity);
    await this.#renew();
  }

  /** Renews no more. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#work;
    clearTimeout(this.#lapseTimer);
  }

  /** Why this gateway must not take messages; undefined if it may. */
  get fault(): string | undefined {
    const { toleranceSeconds } = this.#options;
    if (this.#parts.clock.monotonicMs() > this.#leaseEndsMs) {
      return `the lease is over: ${this.#failure ?? NO_ANSWER}`;
    }
    if (Math.abs(this.#aheadMs) <= 1000 * toleranceSeconds / 2) return undefined;
    return `this machine's clock is ${aheadInWords(Math.round(this.#aheadMs / 1000))} the store's`;
  }

  /** By how much this machine's clock is ahead of the store's, seconds. */
  get skewSeconds(): number {
    return this.#aheadMs / 1000;
  }

  async #renew(): Promise<void> {
    const { nodes, clock } = this.#parts;
    const { leaseMs } = this.#options;
    const askedMs = clock.monotonicMs();
    if (askedMs > this.#leaseEndsMs) this.#inTimeSinceMs = Infinity;
    try {
      const seen = await nodes.renewLease({ leaseMs, wallMs: clock.wallMs() });
      this.#renewed(askedMs);
      this.#parts.presence.seen(seen.nodes);
      this.#compareClocks(seen.aheadMs);
      if (this.#mayJudge()) await this.#adoptFrom(seen.nodes);
      this.#failure = undefined;
    } catch (error) {
      this.#failure = (error as Error).message; // said once the lease is over
    }
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => this.#work = this.#renew(), leaseMs / RENEWALS);
  }

  /** The lease counts from when it was asked for: the store has seen it later. */
  #renewed(askedMs: number): void {
    const { leaseMs } = this.#options;
    this.#leaseEndsMs = askedMs + leaseMs;
    if (this.#inTimeSinceMs === Infinity) this.#inTimeSinceMs = askedMs;
    const endsMs = this.#leaseEndsMs - leaseMs * MARGIN_SHARE;
    clearTimeout(this.#lapseTimer);
    this.#lapseTimer = setTimeout(
      () => this.#parts.emit({ kind: "lease_lapsed", reason: this.#failure ?? NO_ANSWER }),
      Math.max(0, endsMs - this.#parts.clock.monotonicMs()),
    );
    this.#parts.holds.sendUntil(endsMs);
  }

  #mayJudge(): boolean {
    return this.#parts.clock.monotonicMs() - this.#inTimeSinceMs >= this.#options.leaseMs;
  }

  async #adoptFrom(seen: readonly SeenNode[]): Promise<void> {
    const { nodes, commands, emit } = this.#parts;
    for (const { node, leftMs, hasWork } of seen) {
      if (leftMs >= 0 || !hasWork || this.#isClosed) continue;
      const adopted = await nodes.adopt(node);
      if (adopted === undefined) continue;
      for (const deviceId of adopted.commandDevices) commands.add(deviceId);
      emit({ kind: "node_adopted", node, entries: adopted.entries });
    }
  }

  #compareClocks(aheadMs: number): void {
    this.#aheadMs = aheadMs;
    const isSkewed = Math.abs(aheadMs) > SKEW_MS;
    if (isSkewed && !this.#isSkewed) {
      this.#parts.emit({ kind: "store_clock_differs", aheadSeconds: Math.round(aheadMs / 1000) });
    }
    this.#isSkewed = isSkewed;
  }
}
