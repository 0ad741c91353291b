/**
 * Sends the outbox's entries to the backend, and the backend's answers back to the devices.
 *
 * The rules are:
 * - the lanes decide whose turn it is (`lanes.ts`), the backend's health how many go at once;
 * - an entry is settled only when its answer has reached the broker, so that no crash can deliver
 *   an entry and lose its answer;
 * - with batches, what waits when a request can be made goes in one request, and each lane goes on
 *   with its own part of the answer; a lane in a batch sends nothing else meanwhile;
 * - a callback goes in its lane's order and always alone. Callbacks have places of their own, so that
 *   a path that hangs holds up no reading of another device;
 * - memory is bounded: what does not fit into the read-ahead is read from the store in its turn.
 */

import { type Answer, dispositionOf, type Outcome } from "../../core/delivery.ts";
import { type BatchLimits, type BatchOutcome, settledCount } from "../../core/delivery_batch.ts";
import { isCallback, type OutboxEntry, type WaitingEntry } from "../../core/outbox_entry.ts";
import type { Backend, MessageStore } from "../../core/ports.ts";
import type { Clock } from "../../time/clock.ts";
import { BackendHealth } from "./backend_health.ts";
import type { BatchShare } from "./batch_collector.ts";
import { BatchSender, wholeOf } from "./batch_sender.ts";
import { LaneHolds } from "./lane_holds.ts";
import { LaneReader } from "./lane_reader.ts";
import { LaneRetries, type LaneRetryOptions, type LaneRetryParts } from "./lane_retries.ts";
import { type Lane, Lanes, type LaneState, takeRemoval } from "./lanes.ts";
import { SingleSender } from "./single_sender.ts";
import { Settler, type SettlerParts } from "./settler.ts";

/** Wait of a lane whose entry the store cannot give. */
const UNREADABLE_WAIT_MS = 1_000;

/** Answers that may wait for the broker before no more entries are sent. */
const ANSWERS_MAX = 256;

/** Batches at once: they and their answers are in memory, and few requests make large batches. */
const BATCHES_MAX = 8;

/** What the forwarder works with. */
interface ForwarderParts extends SettlerParts, LaneRetryParts {
  readonly clock: Clock;
  readonly store: Pick<MessageStore, "read">;
  readonly backend: Pick<Backend, "deliver" | "deliverBatch">;
}

/** Its settings. */
interface ForwarderOptions extends LaneRetryOptions {
  readonly concurrency: number;
  /** Undefined: each entry goes in a request of its own. */
  readonly batch: BatchLimits | undefined;
  /** False: there is no path to which a callback could go. */
  readonly hasCallbacks: boolean;
  readonly retryStatuses: ReadonlySet<number>;
}

/** The forwarder. */
export class Forwarder {
  readonly holds: LaneHolds;
  readonly #parts: ForwarderParts;
  readonly #options: ForwarderOptions;
  readonly #health: BackendHealth;
  readonly #lanes: Lanes;
  readonly #retries: LaneRetries;
  readonly #reader: LaneReader;
  readonly #singles: SingleSender;
  /** Undefined: each entry goes in a request of its own. */
  readonly #batches: BatchSender | undefined;
  #serveSoon = false;
  #underWay = 0;
  /** Of those, entries that have failed before. */
  #retrying = 0;
  #callbacks = 0;
  readonly #settler: Settler;
  #started = false;
  readonly #stop = new AbortController();
  #idle: (() => void) | undefined;

  constructor(parts: ForwarderParts, options: ForwarderOptions) {
    this.#parts = parts;
    this.#options = options;
    const { batch } = options;
    const concurrency = Math.min(options.concurrency, batch ? BATCHES_MAX : Infinity);
    const waiting = () => this.#lanes.waiting(parts.steadyMs());
    this.#health = new BackendHealth({ ...parts, ...options, concurrency, waiting });
    this.#lanes = new Lanes(batch?.max);
    this.holds = new LaneHolds(this.#lanes, parts.clock, () => this.#serve());
    this.#retries = new LaneRetries(parts, options, {
      lanes: this.#lanes,
      health: this.#health,
      wake: (lane) => this.#enqueue(lane),
    });
    this.#reader = new LaneReader(parts.store);
    this.#settler = new Settler(parts, options.retryStatuses);
    this.#singles = new SingleSender(parts);
    if (batch) this.#batches = new BatchSender(parts, this.#reader, batch);
  }

  /** Takes an entry that was accepted just now. */
  add(entry: OutboxEntry): void {
    this.#append(entry, (lane) => this.#reader.offer(lane, entry));
  }

  /** Takes an entry that an earlier run has left; without its payload. */
  addBacklog(entry: WaitingEntry): void {
    this.#append(entry, () => {});
  }

  /** Takes an entry that another process has put back into the outbox; without its payload. */
  requeue(entry: WaitingEntry): void {
    this.#append(entry, (lane) => lane.requeuedUpTo = entry.sequence);
  }

  /** Another process has taken an entry out of the outbox; if it is on its way, that goes on. */
  remove({ deviceId, sequence }: WaitingEntry): void {
    const lane = this.#lanes.find(deviceId);
    lane?.removed.add(sequence);
    if (lane?.timer !== undefined && lane.sequences.peek() === sequence) this.#retries.wake(lane);
  }

  /** Begins to send. */
  start(): void {
    this.#started = true;
    this.#serve();
  }

  /** Sends no more; waits up to `graceMs` for open requests, then aborts them. */
  async stop(graceMs: number): Promise<void> {
    this.#started = false;
    this.#retries.stop();
    if (this.#isIdle) return;
    const timer = setTimeout(() => this.#stop.abort(), graceMs);
    await new Promise<void>((resolve) => this.#idle = resolve);
    clearTimeout(timer);
  }

  /** Lanes that have something to send. */
  get lanes(): number {
    return this.#lanes.size;
  }

  /** What each device has waiting, for those who only look. */
  laneStates(): Iterable<LaneState> {
    return this.#lanes.states();
  }

  /** What keeps readings from the backend, in words; empty if nothing does. */
  get faults(): string[] {
    return [this.#health.fault, this.#lanes.fault].filter((fault) => fault !== undefined);
  }

  /** Lanes that an entry holds up. */
  get stuckLanes(): number {
    return this.#lanes.stuck;
  }

  /** True while the backend takes nothing. */
  get isBackendFailing(): boolean {
    return this.#health.fault !== undefined;
  }

  #append({ deviceId, sequence }: WaitingEntry, note: (lane: Lane) => void): void {
    const known = this.#lanes.find(deviceId);
    const lane = known ?? this.#lanes.open(deviceId);
    this.#reader.insert(lane, sequence);
    note(lane);
    if (known === undefined) this.#enqueue(lane);
  }

  #enqueue(lane: Lane): void {
    this.#lanes.enqueue(lane);
    this.#serve();
  }

  /** With batches a moment later, so that all that comes at once may be in one. */
  #serve(): void {
    if (this.#batches === undefined) return this.#serveNow();
    if (this.#serveSoon) return;
    this.#serveSoon = true;
    queueMicrotask(() => {
      this.#serveSoon = false;
      this.#serveNow();
    });
  }

  #serveNow(): void {
    while (this.#maySend) {
      const lane = this.#lanes.dequeueCallback(this.#callbacks);
      if (lane === undefined) break;
      this.#callbacks++;
      this.#sendCallback(lane, lane.readAhead.peek()!);
    }
    while (this.#maySend && this.#settler.answering < ANSWERS_MAX) {
      const lanes = this.#lanes.dequeueBatch({
        limit: this.#health.limit,
        underWay: this.#underWay,
        retrying: this.#retrying,
      });
      if (lanes.length === 0) break;
      this.#underWay++;
      if (lanes[0]!.tries > 0) this.#retrying++;
      if (this.#batches) this.#sendBatch(lanes, this.#batches);
      else this.#send(lanes[0]!);
    }
    if (!this.#started && this.#isIdle) this.#idle?.();
  }

  get #maySend(): boolean {
    return this.#started && this.holds.maySend;
  }

  get #isIdle(): boolean {
    return this.#underWay + this.#callbacks + this.#settler.answering === 0;
  }

  /** Sends the first entry of a lane and says what is next for the lane. */
  async #send(lane: Lane): Promise<void> {
    const retried = lane.tries > 0;
    if (takeRemoval(lane)) {
      this.#leave(retried);
      return this.#skip(lane);
    }
    const entry = lane.readAhead.peek() ?? await this.#reader.front(lane);
    if (entry === undefined) {
      this.#leave(retried);
      return this.#wait(lane, UNREADABLE_WAIT_MS);
    }
    if (isCallback(entry) || !this.#maySend) {
      this.#leave(retried);
      return this.#enqueue(lane);
    }
    const outcome = await this.#singles.send(lane, entry, this.#stop.signal);
    this.#leave(retried);
    this.#concludeOne(lane, entry, outcome);
  }

  async #sendCallback(lane: Lane, entry: OutboxEntry): Promise<void> {
    const isRemoved = takeRemoval(lane);
    const isSent = !isRemoved && this.#options.hasCallbacks;
    const outcome = await (isSent && this.#singles.send(lane, entry, this.#stop.signal));
    this.#callbacks--;
    if (outcome) return this.#concludeOne(lane, entry, outcome);
    if (isRemoved) return this.#skip(lane);
    this.#settler.deadLetter(entry, "commands.callback is empty");
    this.#next(lane);
  }

  #concludeOne(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    if (this.#stop.signal.aborted && outcome.kind === "no_answer") return this.#serve();
    this.#parts.emit({ kind: "backend_outcome", outcome });
    const told = { retried: lane.tries > 1, callback: isCallback(entry) };
    if (this.#health.record(outcome, told)) this.#retries.wakeUnanswered();
    if (outcome.kind === "answer" && this.#dispositionOf(outcome) !== "retry") {
      this.#answer(entry, outcome);
      return this.#next(lane);
    }
    this.#retry(lane, entry, outcome);
  }

  /** Sends the fronts of lanes in one request; each goes on with its own part of the answer. */
  async #sendBatch(lanes: readonly Lane[], batches: BatchSender): Promise<void> {
    const retried = lanes[0]!.tries > 0;
    const collected = await batches.collect(lanes);
    for (const { lane, missing } of collected.toReversed()) {
      if (missing === "no_room" || missing === "callback") this.#lanes.putBack(lane);
      else if (missing === "unreadable") this.#wait(lane, UNREADABLE_WAIT_MS);
      else if (missing === "gone") this.#skip(lane);
    }
    const shares = collected.filter(({ entries }) => entries.length > 0);
    if (shares.length < lanes.length) this.#serve();
    const goes = shares.length > 0 && this.#maySend;
    const outcome = goes && await batches.send(shares, this.#stop.signal);
    this.#leave(retried);
    for (const { lane } of shares) lane.inFlight = 0;
    if (outcome) this.#concludeBatch(shares, outcome, retried);
    else for (const { lane } of shares) this.#lanes.enqueue(lane);
    this.#serve();
  }

  #concludeBatch(shares: readonly BatchShare[], batch: BatchOutcome, retried: boolean): void {
    const outcome = wholeOf(batch, (one) => this.#dispositionOf(one) === "retry");
    if (this.#stop.signal.aborted && outcome.kind === "no_answer") return;
    if (this.#health.record(outcome, { retried })) this.#retries.wakeUnanswered();
    const count = shares.reduce((sum, { entries }) => sum + entries.length, 0);
    let place = 0;
    for (const { lane, entries } of shares) {
      if (batch.kind === "items") {
        this.#conclude(lane, entries, batch.outcomes.slice(place, place += entries.length));
      } else if (count === 1) this.#conclude(lane, entries, [outcome]);
      else this.#halve(lane, entries[0]!, { outcome, count });
    }
  }

  /** A batch's entries of one lane: those before the first "again" are finished. */
  #conclude(lane: Lane, entries: readonly OutboxEntry[], outcomes: readonly Outcome[]): void {
    const settled = settledCount(outcomes, this.#options.retryStatuses);
    for (let i = 0; i < settled; i++) {
      this.#answer(entries[i]!, outcomes[i] as Answer);
      this.#shift(lane);
    }
    if (settled > 0) this.#lanes.growBatch(lane);
    if (settled === outcomes.length) return this.#goOn(lane);
    if (settled > 0) lane.tries = 1;
    this.#retry(lane, entries[settled]!, outcomes[settled]!);
  }

  /** A batch failed as a whole: any of its entries may be why, so smaller ones are to show which. */
  #halve(
    lane: Lane,
    entry: OutboxEntry,
    { outcome, count }: { readonly outcome: Outcome; readonly count: number },
  ): void {
    lane.batchMax = count >> 1;
    if (this.#dispositionOf(outcome) === "retry") {
      return this.#retry(lane, entry, outcome, { mayGiveUp: false });
    }
    lane.tries--;
    this.#enqueue(lane);
  }

  #leave(retried: boolean): void {
    this.#underWay--;
    if (retried) this.#retrying--;
  }

  /** The entry in front was taken out of the store by another process. */
  #skip(lane: Lane): void {
    const sequence = lane.sequences.peek()!;
    lane.removed.delete(sequence);
    this.#settler.skip(sequence);
    this.#next(lane);
  }

  /** The entry in front is finished: the lane goes to the end of the queue, or is removed. */
  #next(lane: Lane): void {
    this.#shift(lane);
    this.#goOn(lane);
  }

  #shift(lane: Lane): void {
    this.#reader.shift(lane);
    Object.assign(lane, { tries: 0, reminder: undefined, stuck: false, failure: undefined });
  }

  #goOn(lane: Lane): void {
    if (lane.sequences.length > 0) return this.#enqueue(lane);
    this.#lanes.close(lane);
    this.#serve();
  }

  /** Brings the answer to the device, then settles; the lane does not wait for it. */
  async #answer(entry: OutboxEntry, answer: Answer): Promise<void> {
    await this.#settler.answer(entry, answer, this.#stop.signal);
    this.#serve();
  }

  #retry(lane: Lane, entry: OutboxEntry, outcome: Outcome, { mayGiveUp = true } = {}): void {
    if (takeRemoval(lane)) return this.#skip(lane);
    if (mayGiveUp && this.#retries.isOver(entry)) {
      const last = outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
      this.#settler.deadLetter(entry, `not delivered within its time, last: ${last}`, outcome);
      return this.#next(lane);
    }
    this.#retries.plan(lane, entry, outcome);
    this.#serve();
  }

  #dispositionOf(outcome: Outcome) {
    return dispositionOf(outcome, this.#options.retryStatuses);
  }

  #wait(lane: Lane, delayMs: number): void {
    this.#retries.wait(lane, delayMs);
    this.#serve();
  }
}
