/**
 * MQTT in: from a message that has arrived to an acknowledgement.
 *
 * The rules are:
 * - group commit: while one batch is verified and written, the next gathers; an idle gateway
 *   commits at once;
 * - only when a batch is on the disk are its messages acknowledged, in the order in which they came
 *   [MQTT-4.6.0-2];
 * - where the store fails, nothing is acknowledged, and the batch is tried again until it works, or
 *   until the store is lost and a sound one is found in its place;
 * - where the outbox is full, intake stops taking: the broker keeps what is not acknowledged;
 * - memory is bounded: nothing waits here twice, and of what nobody keeps (QoS 0) only so much.
 */

import type { Outage } from "../../core/outage.ts";
import type { Settlement } from "../../core/delivery.ts";
import { readEnvelope } from "../../core/envelope.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import type { Rejection } from "../../core/rejection.ts";
import { identityOf, MARKER_TOPIC } from "../../core/topic.ts";
import { decideOrigin } from "../../core/verdict.ts";
import type { OutboxEntry, WaitingEntry } from "../../store/sqlite/outbox.ts";
import { Database, StoreLostError } from "../../store/sqlite/database.ts";
import type { Clock } from "../../time/clock.ts";
import type { DeviceKeys } from "../../store/key_ring.ts";
import type { Candidate, Committed, Entered, Ledger } from "./ledger.ts";
import type { InboundMessage } from "../broker/mqtt_broker.ts";

/** Most messages in one transaction; what is alive at one time makes the collector's work. */
const BATCH_MAX = 128;

/** Waiting messages beyond which one with QoS 0 is dropped: no acknowledgement holds it back. */
const WAITING_MAX = 2_000;

/** Settlements wait for company, since each commit costs a sync: so long, or until so many. */
const SETTLE_WITHIN_MS = 20;
const SETTLE_AT_ONCE = 256;

/** A full outbox has room again when this share of it is free. */
const ROOM_SHARE = 0.1;

/** How often the store is tidied, and looked at for what other processes did. */
const TICK_MS = 500;

/** The same where a turn could not tidy everything; in between, messages have their turn. */
const TIDY_AGAIN_MS = 100;

const STORE_RETRY_FIRST_MS = 50;
const STORE_RETRY_LONGEST_MS = 2_000;

/** What the intake works with. */
export interface IntakeParts {
  readonly clock: Clock;
  readonly keyRing: DeviceKeys;
  readonly ledger: Ledger;
  readonly attendance: Outage;
  readonly storePath: string;
  /** Sends a marker to ourselves; false where that did not work. */
  sendMarker(marker: string): Promise<boolean>;
  readonly at: OnFailpoint;
}

/** Who is told what, after the commit. */
export interface IntakeEvents {
  accepted(entry: OutboxEntry): void;
  /** Entries that another process has put into the outbox. */
  adopted(entries: readonly WaitingEntry[]): void;
  duplicate(identity: string): void;
  rejected(rejection: Rejection, identity: string): void;
  /** The store cannot be written; told once until it can be again. */
  storeFailed(error: Error): void;
  storeRecovered(): void;
  /** The store was lost, and a sound one stands in its place: start anew. */
  storeReplaced(): void;
  trimmed(deadLetters: number): void;
  paused(): void;
  resumed(): void;
  /** So many messages with QoS 0 were dropped: too much waited. */
  overrun(count: number): void;
  /** The absence since `outageSinceSeconds` is over; `marked` is false where no marker came. */
  caughtUp(marked: boolean): void;
}

/** A message that waits for its batch. */
interface Waiting {
  readonly arrival: InboundMessage;
  /** Wall clock when it came, Unix milliseconds. */
  readonly arrivedMs: number;
  readonly identity: string;
}

/** The intake. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #maxPending: number;
  readonly #events: IntakeEvents;
  #waiting: Waiting[] = [];
  #settlements: Settlement[] = [];
  #paused = false;
  /** Messages that were dropped and not told of yet. */
  #overrun = 0;
  #storeFault: string | undefined;
  #tidyDue = false;
  #work: Promise<void> | undefined;
  #taking = true;
  /** What fails from now on is not tried again: it stays with the broker and in the outbox. */
  #closing = false;
  #closed = false;
  readonly #tick: ReturnType<typeof setInterval>;
  #tidyTimer: ReturnType<typeof setTimeout> | undefined;
  #settleTimer: ReturnType<typeof setTimeout> | undefined;
  #endPause: (() => void) | undefined;

  constructor(parts: IntakeParts, events: IntakeEvents, options: { maxPending: number }) {
    this.#parts = parts;
    this.#events = events;
    this.#maxPending = options.maxPending;
    this.#tick = setInterval(() => {
      this.#tellOverrun();
      this.#tidyNow();
    }, TICK_MS);
  }

  /** Takes a message; its verdict and acknowledgement come later. */
  take(arrival: InboundMessage): void {
    if (!this.#taking) return;
    if (!arrival.needsAck && this.#waiting.length >= WAITING_MAX) return void this.#overrun++;
    const arrivedMs = this.#parts.clock.wallMs();
    this.#waiting.push({ arrival, arrivedMs, identity: identityOf(arrival.topic) });
    this.#wake();
  }

  /** Takes note that an entry is done with; it leaves the outbox in the next transaction. */
  settle(settlement: Settlement): void {
    this.#settlements.push(settlement);
    if (this.#settlements.length >= SETTLE_AT_ONCE) this.#wake();
    else this.#settleTimer ??= setTimeout(() => this.#wake(), SETTLE_WITHIN_MS);
  }

  /** The broker brings again what it keeps: the copies that wait here would be too many. */
  brokerResumed(): void {
    this.#waiting = this.#waiting.filter(({ arrival }) => !arrival.needsAck);
  }

  /** The broker is connected, or is not. */
  brokerConnected(connected: boolean): void {
    if (connected) this.#parts.attendance.end("broker");
    else this.#parts.attendance.begin("broker");
    this.#sendMarker();
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
    this.#waiting = [];
  }

  /** Writes the settlements that are left, once, and ends. */
  async close(): Promise<void> {
    this.stopTaking();
    clearInterval(this.#tick);
    this.#tellOverrun();
    this.#closing = true;
    this.#tidyDue = true; // saves what is counted
    this.#endPause?.();
    this.#wake();
    await this.#work;
    clearTimeout(this.#tidyTimer);
    clearTimeout(this.#settleTimer);
    this.#closed = true;
  }

  #tidyNow(): void {
    clearTimeout(this.#tidyTimer);
    this.#tidyTimer = undefined;
    this.#tidyDue = true;
    this.#wake();
  }

  #wake(): void {
    this.#work ??= this.#turns().finally(() => this.#work = undefined);
  }

  async #turns(): Promise<void> {
    while (!this.#closed && this.#hasWork()) await this.#turn();
  }

  #hasWork(): boolean {
    this.#seeRoom();
    return this.#settlements.length > 0 || this.#tidyDue ||
      (this.#waiting.length > 0 && !this.#paused);
  }

  get #room(): number {
    return this.#maxPending - this.#parts.ledger.pending;
  }

  /** Full at no room, and then until a share of it is free: or it would flutter. */
  #seeRoom(): void {
    const needed = this.#paused ? Math.max(1, Math.floor(this.#maxPending * ROOM_SHARE)) : 1;
    const paused = this.#room < needed;
    if (paused === this.#paused) return;
    this.#paused = paused;
    if (paused) {
      this.#parts.attendance.begin("outbox");
      this.#events.paused();
    } else {
      this.#parts.attendance.end("outbox");
      this.#events.resumed();
      this.#sendMarker();
    }
  }

  /** One batch: read, verify, commit, acknowledge. */
  async #turn(): Promise<void> {
    const size = this.#paused ? 0 : Math.min(BATCH_MAX, this.#room);
    const batch = this.#waiting.splice(0, size);
    const settlements = this.#takeSettlements();
    const tidy = this.#tidyDue;
    this.#tidyDue = false;
    const messages = batch.filter(({ arrival }) => arrival.topic !== MARKER_TOPIC);
    const committed = await this.#persist(async () => {
      this.#parts.keyRing.refresh();
      const examined = await Promise.all(messages.map((one) => this.#examine(one)));
      this.#parts.at("verified");
      const heldSinceMs = this.#waiting[0]?.arrivedMs;
      const identityOf = (place: number) => messages[place]!.identity;
      return this.#parts.ledger.commit(examined, settlements, { tidy, heldSinceMs, identityOf });
    });
    if (!committed) return;
    if (committed.untidy) this.#tidyTimer ??= setTimeout(() => this.#tidyNow(), TIDY_AGAIN_MS);
    this.#parts.at("committed");
    for (const { arrival } of batch) arrival.acknowledge();
    if (batch.length > 0) this.#parts.at("acknowledged");
    messages.forEach(({ identity }, i) => this.#tell(committed.entered[i]!, identity));
    this.#tellRest(committed);
    this.#catchUp(batch);
  }

  #takeSettlements(): Settlement[] {
    clearTimeout(this.#settleTimer);
    this.#settleTimer = undefined;
    return this.#settlements.splice(0);
  }

  /** Reads and verifies one message, as far as that goes without the store. */
  async #examine(waiting: Waiting): Promise<Candidate | Rejection> {
    const { arrival, identity, arrivedMs } = waiting;
    const envelope = readEnvelope(arrival.bytes);
    if (envelope.kind === "rejected") return envelope;
    const { keyRing } = this.#parts;
    const nowSeconds = Math.floor(arrivedMs / 1000);
    const status = keyRing.statusOf(envelope.deviceId, nowSeconds);
    const origin = { identity, retained: arrival.retained, status };
    const refused = decideOrigin(envelope, origin);
    if (refused) return refused;
    const signedPayload = await keyRing.signedPayload(envelope, nowSeconds);
    const { redelivered } = arrival;
    return { envelope, facts: { ...origin, signedPayload }, redelivered, arrivedMs };
  }

  /** Tries until the store does it; undefined where the intake was closed, or the store is lost. */
  async #persist<T>(work: () => Promise<T>): Promise<T | undefined> {
    for (let delayMs = STORE_RETRY_FIRST_MS; !this.#closed;) {
      try {
        const result = await work();
        this.#storeWorks();
        return result;
      } catch (error) {
        this.#storeFails(error as Error);
        if (this.#closing) return undefined;
        await (error instanceof StoreLostError ? this.#awaitSoundStore() : this.#pause(delayMs));
        delayMs = Math.min(STORE_RETRY_LONGEST_MS, delayMs * 2);
      }
    }
    return undefined;
  }

  #storeWorks(): void {
    if (this.#storeFault === undefined) return;
    this.#storeFault = undefined;
    this.#parts.attendance.end("store");
    this.#events.storeRecovered();
    this.#sendMarker();
  }

  #storeFails(error: Error): void {
    this.#parts.attendance.begin("store");
    if (this.#storeFault !== error.message) this.#events.storeFailed(error);
    this.#storeFault = error.message;
  }

  /** A lost store does not come back through its old connection: this intake ends. */
  async #awaitSoundStore(): Promise<void> {
    while (!this.#closing && !Database.isSound(this.#parts.storePath)) {
      await this.#pause(STORE_RETRY_LONGEST_MS);
    }
    if (this.#closing) return;
    this.#closed = true;
    this.#events.storeReplaced();
  }

  async #pause(delayMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, delayMs);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  #tell(entered: Entered, identity: string): void {
    if (!("kind" in entered)) return this.#events.accepted(entered);
    if (entered.kind === "rejected") this.#events.rejected(entered, identity);
    else this.#events.duplicate(identity);
  }

  #tellRest({ adopted, trimmed }: Committed): void {
    if (adopted.length > 0) this.#events.adopted(adopted);
    if (trimmed > 0) this.#events.trimmed(trimmed);
  }

  #tellOverrun(): void {
    if (this.#overrun > 0) this.#events.overrun(this.#overrun);
    this.#overrun = 0;
  }

  /** Sees whether everything that waited in the broker is taken. */
  #catchUp(batch: readonly Waiting[]): void {
    const { attendance, clock } = this.#parts;
    const before = attendance.caughtUp;
    for (const { arrival } of batch) {
      if (arrival.topic === MARKER_TOPIC) attendance.markerCame(textOf(arrival.bytes));
    }
    if (!before && attendance.caughtUp) this.#events.caughtUp(true);
    else if (attendance.expiresQuietly(clock.monotonicMs())) this.#events.caughtUp(false);
    this.#sendMarker();
  }

  #sendMarker(): void {
    const marker = this.#parts.attendance.markerDue();
    if (marker === undefined) return;
    this.#parts.sendMarker(marker).then((sent) => {
      if (!sent) this.#parts.attendance.markerFailed(marker);
    });
  }
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
