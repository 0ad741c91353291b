/**
 * MQTT in: from a message that has arrived to an acknowledgement.
 *
 * The rules are:
 * - group commit: while one batch is verified and written, the next gathers; an idle gateway
 *   commits at once;
 * - one transaction looks at the replay guard, remembers ids, adds to the outbox and settles what
 *   the forwarder is done with; only when it is on the disk are the messages acknowledged, in the
 *   order in which they came [MQTT-4.6.0-2];
 * - where the store fails, nothing is acknowledged, and the batch is tried again until it works;
 * - where the outbox is full, intake stops taking: the broker keeps what is not acknowledged.
 */

import type { DeviceStanding } from "../core/device.ts";
import { type Envelope, readEnvelope } from "../core/envelope.ts";
import { type Bucket, type Rate, refilled } from "../core/rate.ts";
import type { Rejection } from "../core/rejection.ts";
import { signedPayloadOf } from "../core/signed_payload.ts";
import { identityOf } from "../core/topic.ts";
import { decide, decideOrigin, type Facts, type Verdict } from "../core/verdict.ts";
import type { Clock } from "./clock.ts";
import type { KeyRing } from "./key_ring.ts";
import type { Arrival } from "./mqtt.ts";
import type { Outbox, OutboxEntry, Settlement } from "./outbox.ts";
import type { ReplayGuard } from "./replay_guard.ts";
import type { Store } from "./store.ts";

/** Most messages in one transaction. */
const BATCH_MAX = 512;

/** How often ids that can no longer matter are forgotten. */
const FORGET_EVERY_MS = 1_000;

const STORE_RETRY_FIRST_MS = 50;
const STORE_RETRY_LONGEST_MS = 2_000;

/** What the intake works with. */
export interface IntakeParts {
  readonly clock: Clock;
  readonly store: Store;
  readonly keyRing: KeyRing;
  readonly replayGuard: ReplayGuard;
  readonly outbox: Outbox;
}

/** What it goes by. */
export interface IntakeOptions {
  readonly toleranceSeconds: number;
  /** Undefined: no limit. */
  readonly rate: Rate | undefined;
  readonly maxPending: number;
}

/** Who is told what, after the commit. */
export interface IntakeEvents {
  accepted(entry: OutboxEntry): void;
  duplicate(identity: string): void;
  rejected(rejection: Rejection, identity: string): void;
  /** The store cannot be written; told once until it can be again. */
  storeFailed(error: Error): void;
  storeRecovered(): void;
  paused(): void;
  resumed(): void;
}

/** A message on its way through a batch. */
interface Candidate {
  readonly arrival: Arrival;
  /** Wall clock when it came, Unix milliseconds. */
  readonly arrivedMs: number;
  readonly identity: string;
}

/** A message that was read and verified, or refused already. */
interface Examined extends Candidate {
  readonly read: Rejection | { readonly envelope: Envelope; readonly facts: EarlyFacts };
}

/** What is known before the transaction looks at the store. */
type EarlyFacts = Pick<Facts, "identity" | "retained" | "standing" | "signedPayload">;

/** The intake. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #options: IntakeOptions;
  readonly #events: IntakeEvents;
  #arrivals: Candidate[] = [];
  #settlements: Settlement[] = [];
  readonly #buckets = new Map<string, Bucket>();
  #pending: number;
  #paused = false;
  #storeFault: string | undefined;
  #forgetDue = false;
  #work: Promise<void> | undefined;
  #taking = true;
  #closed = false;
  readonly #forgetTimer: ReturnType<typeof setInterval>;
  #wait: { end(): void } | undefined;

  constructor(parts: IntakeParts, options: IntakeOptions, events: IntakeEvents) {
    this.#parts = parts;
    this.#options = options;
    this.#events = events;
    this.#pending = parts.outbox.count();
    this.#forgetTimer = setInterval(() => {
      this.#forgetDue = true;
      this.#wake();
    }, FORGET_EVERY_MS);
  }

  /** Takes a message; its verdict and acknowledgement come later. */
  take(arrival: Arrival): void {
    if (!this.#taking) return;
    const identity = identityOf(arrival.topic);
    this.#arrivals.push({ arrival, identity, arrivedMs: this.#parts.clock.wallMs() });
    this.#wake();
  }

  /** Takes note that an entry is done with; it leaves the outbox in the next transaction. */
  settle(settlement: Settlement): void {
    this.#settlements.push(settlement);
    this.#wake();
  }

  /** Entries in the outbox. */
  get pending(): number {
    return this.#pending;
  }

  /** True while the outbox is full. */
  get paused(): boolean {
    return this.#paused;
  }

  /** Why the store cannot be written; undefined while it can. */
  get storeFault(): string | undefined {
    return this.#storeFault;
  }

  /** Takes no more messages; those not committed yet stay with the broker. */
  stopTaking(): void {
    this.#taking = false;
    this.#arrivals = [];
  }

  /** Writes the settlements that are left, once, and ends. */
  async close(): Promise<void> {
    this.stopTaking();
    clearInterval(this.#forgetTimer);
    if (this.#storeFault !== undefined) this.#closed = true;
    this.#wait?.end();
    await this.#work;
    this.#closed = true;
  }

  #wake(): void {
    this.#work ??= this.#turns().finally(() => this.#work = undefined);
  }

  async #turns(): Promise<void> {
    while (!this.#closed && this.#hasWork()) await this.#turn();
  }

  #hasWork(): boolean {
    const room = this.#options.maxPending - this.#pending;
    this.#showPaused(room <= 0);
    return this.#settlements.length > 0 || this.#forgetDue ||
      (this.#arrivals.length > 0 && room > 0);
  }

  #showPaused(paused: boolean): void {
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) this.#events.paused();
    else this.#events.resumed();
  }

  /** One batch: read, verify, commit, acknowledge. */
  async #turn(): Promise<void> {
    const room = Math.max(0, this.#options.maxPending - this.#pending);
    const batch = this.#arrivals.splice(0, Math.min(BATCH_MAX, room));
    const settlements = this.#settlements;
    this.#settlements = [];
    const examined = await this.#persist(async () => {
      this.#parts.keyRing.refresh();
      return await Promise.all(batch.map((candidate) => this.#examine(candidate)));
    });
    if (!examined) return;
    const outcomes = await this.#persist(() => this.#commit(examined, settlements));
    if (!outcomes) return;
    this.#pending -= settlements.length;
    examined.forEach(({ arrival, identity }, i) => {
      arrival.acknowledge();
      this.#tell(outcomes[i]!, identity);
    });
  }

  /** Reads and verifies one message; what it finds is judged in the transaction. */
  async #examine(candidate: Candidate): Promise<Examined> {
    const { arrival, identity, arrivedMs } = candidate;
    const envelope = readEnvelope(arrival.bytes);
    if (envelope.kind === "rejected") return { ...candidate, read: envelope };
    const { keyRing } = this.#parts;
    const standing: DeviceStanding = keyRing.standing(envelope.deviceId, seconds(arrivedMs));
    const origin = { identity, retained: arrival.retained, standing };
    const refused = decideOrigin(envelope, origin);
    if (refused) return { ...candidate, read: refused };
    const signedPayload = await signedPayloadOf(envelope, await keyRing.key(envelope.deviceId));
    return { ...candidate, read: { envelope, facts: { ...origin, signedPayload } } };
  }

  /** The transaction; what it returns belongs to `examined`, one by one. */
  #commit(examined: readonly Examined[], settlements: readonly Settlement[]) {
    const taken = new Map<string, Bucket>();
    const outcomes = this.#parts.store.transaction(() => {
      for (const settlement of settlements) this.#parts.outbox.settle(settlement);
      const forgottenSeconds = this.#parts.replayGuard.forgottenSeconds();
      const outcomes = examined.map((one) => this.#judge(one, forgottenSeconds, taken));
      if (this.#forgetDue) this.#forgetDue = this.#parts.replayGuard.forget(this.#oldest()) > 0;
      return outcomes;
    });
    for (const [deviceId, bucket] of taken) this.#buckets.set(deviceId, bucket);
    return outcomes;
  }

  /** Ids whose messages are out of range even for what still waits here; Unix seconds. */
  #oldest(): number {
    const oldestMs = Math.min(
      this.#parts.clock.wallMs(),
      this.#arrivals[0]?.arrivedMs ?? Infinity,
    );
    return seconds(oldestMs) - this.#options.toleranceSeconds;
  }

  /** The verdict on one message, and its traces in the store where it is accepted. */
  #judge(one: Examined, forgottenSeconds: number, taken: Map<string, Bucket>) {
    if ("kind" in one.read) return one.read;
    const { envelope, facts } = one.read;
    const { deviceId, messageId, timestamp, timestampSeconds } = envelope;
    const { replayGuard, outbox, clock } = this.#parts;
    const { rate, toleranceSeconds } = this.#options;
    const bucket = rate &&
      refilled(taken.get(deviceId) ?? this.#buckets.get(deviceId), rate, clock.monotonicMs());
    const verdict = decide(envelope, {
      ...facts,
      redelivered: one.arrival.redelivered,
      nowSeconds: seconds(one.arrivedMs),
      toleranceSeconds,
      forgottenSeconds,
      remembered: replayGuard.remembers(deviceId, messageId),
      withinRate: bucket === undefined || bucket.tokens >= 1,
    });
    if (verdict.kind !== "accepted") return verdict;
    if (bucket) taken.set(deviceId, { ...bucket, tokens: bucket.tokens - 1 });
    replayGuard.remember(deviceId, messageId, timestampSeconds);
    const payload = new Uint8Array(verdict.payload); // a copy: the slice would hold on to its chunk
    return outbox.append({ deviceId, messageId, timestamp, payload, acceptedMs: one.arrivedMs });
  }

  /** Tries until the store does it; undefined where the intake was closed meanwhile. */
  async #persist<T>(work: () => T | Promise<T>): Promise<T | undefined> {
    for (let delayMs = STORE_RETRY_FIRST_MS; !this.#closed;) {
      try {
        const result = await work();
        if (this.#storeFault !== undefined) this.#events.storeRecovered();
        this.#storeFault = undefined;
        return result;
      } catch (error) {
        if (this.#storeFault === undefined) this.#events.storeFailed(error as Error);
        this.#storeFault = (error as Error).message;
        await this.#pause(delayMs);
        delayMs = Math.min(STORE_RETRY_LONGEST_MS, delayMs * 2);
      }
    }
    return undefined;
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#wait = {
        end() {
          clearTimeout(timer);
          resolve();
        },
      };
    });
    this.#wait = undefined;
  }

  #tell(outcome: OutboxEntry | Verdict, identity: string): void {
    if (!("kind" in outcome)) {
      this.#pending++;
      return this.#events.accepted(outcome);
    }
    if (outcome.kind === "rejected") this.#events.rejected(outcome, identity);
    else this.#events.duplicate(identity);
  }
}

function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}
