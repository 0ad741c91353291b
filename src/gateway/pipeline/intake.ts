/**
 * Incoming messages wait here for their batch, and are acknowledged after its commit.
 *
 * The rules are:
 * - group commit: while one batch is examined and written, the next gathers; an idle gateway
 *   commits at once;
 * - only when a batch is on the disk are its messages acknowledged, in the order in which they came
 *   [MQTT-4.6.0-2];
 * - if the outbox is full, intake stops taking: the broker keeps what is not acknowledged;
 * - memory is bounded: no message waits here twice, and the number of QoS 0 messages, which the
 *   broker never holds back, is limited.
 */

import type { Emit } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import { lateSeconds } from "../../core/freshness.ts";
import type { CommitResult, Committed, InboundMessage } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import { MARKER_TOPIC, originOf } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";
import type { CatchUp } from "./catch_up.ts";
import type { Committer } from "./committer.ts";
import type { Receipts } from "./receipts.ts";
import type { Verifier, WaitingMessage } from "./verifier.ts";

/** Most messages in one transaction; the more are alive at once, the more the collector works. */
const BATCH_MAX = 128;

/** Waiting messages beyond which one with QoS 0 is dropped: no acknowledgement holds it back. */
const WAITING_MAX = 2_000;

/** A full outbox has room again when this share of it is free. */
const ROOM_SHARE = 0.1;

/** How often the store is tidied, and looked at for what other processes did. */
const TICK_MS = 500;

/** The same if a turn could not tidy everything; in between, messages have their turn. */
const TIDY_AGAIN_MS = 100;

/** Hears of each device that has sent something in its own name. */
interface DeviceListener {
  heard(deviceId: string): void;
}

/** What the intake works with. */
interface IntakeParts {
  readonly clock: Clock;
  readonly verifier: Verifier;
  readonly committer: Committer;
  readonly commands: DeviceListener;
  readonly receipts: Pick<Receipts, "rejected">;
  readonly catchUp: CatchUp;
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** Its limits. */
interface IntakeLimits {
  /** Entries in the outbox beyond which nothing is taken. */
  readonly maxPending: number;
  readonly toleranceSeconds: number;
}

/** The intake. */
export class Intake {
  readonly #parts: IntakeParts;
  readonly #limits: IntakeLimits;
  #waiting: WaitingMessage[] = [];
  #isPaused = false;
  /** QoS 0 messages that were dropped and not reported yet. */
  #dropped = 0;
  #tidyDue = false;
  #work: Promise<void> | undefined;
  #isTaking = true;
  #isClosed = false;
  readonly #tick: ReturnType<typeof setInterval>;
  #tidyTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(parts: IntakeParts, limits: IntakeLimits) {
    this.#parts = parts;
    this.#limits = limits;
    this.#tick = setInterval(() => {
      this.#tellDropped();
      this.#tidyNow();
    }, TICK_MS);
  }

  /** True while the outbox is full. */
  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** Takes a message; its verdict and acknowledgement come later. */
  take(message: InboundMessage): void {
    if (!this.#isTaking) return;
    if (!message.needsAck && this.#waiting.length >= WAITING_MAX) return void this.#dropped++;
    const arrivedMs = this.#parts.clock.wallMs();
    this.#waiting.push({ message, ...originOf(message.topic), arrivedMs });
    this.#wake();
  }

  /** The broker brings again what it keeps: the copies that wait here would be too many. */
  sessionResumed(): void {
    this.#waiting = this.#waiting.filter(({ message }) => !message.needsAck);
  }

  /** Takes no more messages; those not committed yet stay with the broker. */
  stopTaking(): void {
    this.#isTaking = false;
    this.#waiting = [];
  }

  /** Ends after one more look at the store, which saves what is counted. */
  async close(): Promise<void> {
    this.stopTaking();
    clearInterval(this.#tick);
    this.#tellDropped();
    this.#parts.committer.stopRetrying();
    this.#tidyDue = true;
    this.#wake();
    await this.#work;
    clearTimeout(this.#tidyTimer);
    this.#isClosed = true;
    await this.#parts.committer.close();
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
    while (!this.#isClosed && this.#hasWork()) {
      if (!await this.#turn()) this.#isClosed = true;
    }
  }

  #hasWork(): boolean {
    this.#seeRoom();
    return this.#tidyDue || (this.#waiting.length > 0 && !this.#isPaused);
  }

  get #room(): number {
    return this.#limits.maxPending - this.#parts.committer.pending;
  }

  /** Paused when full, and then until a share is free: otherwise it would switch at each message. */
  #seeRoom(): void {
    const { maxPending } = this.#limits;
    const { catchUp, emit } = this.#parts;
    const needed = this.#isPaused ? Math.max(1, Math.floor(maxPending * ROOM_SHARE)) : 1;
    const isPaused = this.#room < needed;
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    if (isPaused) {
      catchUp.begin("outbox");
      emit({ kind: "intake_paused", maxPending });
    } else {
      emit({ kind: "intake_resumed" });
      catchUp.end("outbox");
    }
  }

  /** One batch: examine, commit, acknowledge; false if nothing is committed any longer. */
  async #turn(): Promise<boolean> {
    const { verifier, committer, failpoint } = this.#parts;
    const size = this.#isPaused ? 0 : Math.min(BATCH_MAX, this.#room);
    const batch = this.#waiting.splice(0, size);
    const messages = batch.filter(({ message }) => message.topic !== MARKER_TOPIC);
    const isTidying = this.#tidyDue;
    this.#tidyDue = false;
    const result = await committer.commit({
      examine: () => verifier.examine(messages),
      tidying: () => isTidying ? { heldSinceMs: this.#waiting[0]?.arrivedMs } : undefined,
      committed: (result) => {
        failpoint("committed");
        for (const { message } of batch) message.acknowledge();
        if (batch.length > 0) failpoint("acknowledged");
        this.#tell(result, messages);
      },
    });
    if (result === undefined) return false;
    if (result.untidy) this.#tidyTimer ??= setTimeout(() => this.#tidyNow(), TIDY_AGAIN_MS);
    this.#catchUp(batch, result);
    return true;
  }

  #tell({ committed }: CommitResult, messages: readonly WaitingMessage[]): void {
    const nowSeconds = secondsOf(this.#parts.clock.wallMs());
    committed.forEach((one, at) => this.#tellOne(one, messages[at]!.message, nowSeconds));
  }

  #tellOne(one: Committed, { bytes }: InboundMessage, nowSeconds: number): void {
    const { emit, commands, receipts } = this.#parts;
    switch (one.kind) {
      case "accepted": {
        const { entry } = one;
        const { toleranceSeconds } = this.#limits;
        const late = lateSeconds(Number(entry.timestamp), nowSeconds, toleranceSeconds);
        emit({ kind: "message_accepted", entry, lateSeconds: late });
        return commands.heard(entry.deviceId);
      }
      case "rejected":
        emit({ ...one, kind: "message_rejected", bytes });
        return receipts.rejected(one);
      case "duplicate":
        return emit({ kind: "message_duplicate", identity: one.identity });
      case "acknowledged":
        return commands.heard(one.identity);
      case "acknowledgement_unmatched":
        return emit(one);
      default:
        return one satisfies never;
    }
  }

  #catchUp(batch: readonly WaitingMessage[], { late }: CommitResult): void {
    const markers = batch.filter(({ message }) => message.topic === MARKER_TOPIC)
      .map(({ message }) => new TextDecoder().decode(message.bytes));
    this.#parts.catchUp.taken({ markers, late }, this.#parts.clock.monotonicMs());
  }

  #tellDropped(): void {
    if (this.#dropped > 0) this.#parts.emit({ kind: "qos0_dropped", count: this.#dropped });
    this.#dropped = 0;
  }
}
