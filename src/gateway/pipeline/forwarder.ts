/**
 * Sends the outbox's entries to the backend, and the backend's answers back to the devices.
 *
 * The rules are:
 * - the lanes decide whose turn it is (`lanes.ts`), the backend's health how many go at once;
 * - an entry is settled only when its answer has reached the broker, so that no crash can deliver
 *   an entry and lose its answer;
 * - memory is bounded: what does not fit into the read-ahead is read from the store in its turn.
 */

import {
  type Answer,
  dispositionOf,
  keptAnswer,
  type Outcome,
  retryDelayMs,
  type Settlement,
} from "../../core/delivery.ts";
import type { Emit, Waiting } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import type { OutboxEntry, WaitingEntry } from "../../core/outbox_entry.ts";
import { type Backend, type MessageStore, READ_MAX } from "../../core/ports.ts";
import type { Clock } from "../../time/clock.ts";
import { BackendHealth } from "./backend_health.ts";
import { type Lane, Lanes } from "./lanes.ts";
import { ReadAhead } from "./read_ahead.ts";
import { Reminder } from "./reminder.ts";

/** Wait of a lane whose entry the store cannot give. */
const UNREADABLE_WAIT_MS = 1_000;

/** Answers that may wait for the broker before no more entries are sent. */
const ANSWERS_MAX = 256;

/** What the forwarder works with. */
interface ForwarderParts {
  readonly clock: Clock;
  /** Unix milliseconds that never step; the clock of `OutboxEntry.acceptedMs`. */
  readonly steadyMs: () => number;
  /** In [0, 1); spreads retries. */
  readonly random: () => number;
  readonly store: Pick<MessageStore, "read">;
  readonly backend: Pick<Backend, "deliver">;
  /** Brings an answer to the device; false if `stop` came first and the entry must stay. */
  readonly responder: {
    respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean>;
  };
  readonly committer: { settle(settlement: Settlement): void };
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** Its settings. */
interface ForwarderOptions {
  readonly concurrency: number;
  readonly retryFirstMs: number;
  readonly retryLongestMs: number;
  readonly giveUpAfterMs: number;
  readonly retryStatuses: ReadonlySet<number>;
}

/** The forwarder. */
export class Forwarder {
  readonly #parts: ForwarderParts;
  readonly #options: ForwarderOptions;
  readonly #health: BackendHealth;
  readonly #lanes = new Lanes();
  readonly #readAhead = new ReadAhead();
  #underWay = 0;
  /** Of those, entries that have failed before. */
  #retrying = 0;
  #answering = 0;
  #started = false;
  readonly #stop = new AbortController();
  #idle: (() => void) | undefined;

  constructor(parts: ForwarderParts, options: ForwarderOptions) {
    this.#parts = parts;
    this.#options = options;
    this.#health = new BackendHealth({ ...parts, ...options, waiting: () => this.#waiting() });
  }

  /** Takes an entry that was accepted just now. */
  add(entry: OutboxEntry): void {
    this.#append(entry, ({ sequences, readAhead }) => {
      const isNext = readAhead.length === sequences.length && readAhead.length < READ_MAX;
      if (!isNext || !this.#readAhead.hasRoom(entry)) return;
      readAhead.push(entry);
      this.#readAhead.add(entry);
    });
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
    if (lane?.timer !== undefined && lane.sequences.peek() === sequence) this.#wake(lane);
  }

  /** Begins to send. */
  start(): void {
    this.#started = true;
    this.#serve();
  }

  /** Sends no more; waits up to `graceMs` for open requests, then aborts them. */
  async stop(graceMs: number): Promise<void> {
    this.#started = false;
    for (const lane of this.#lanes) clearTimeout(lane.timer);
    if (this.#underWay + this.#answering === 0) return;
    const timer = setTimeout(() => this.#stop.abort(), graceMs);
    await new Promise<void>((resolve) => this.#idle = resolve);
    clearTimeout(timer);
  }

  /** Lanes that have something to send. */
  get lanes(): number {
    return this.#lanes.size;
  }

  /** What keeps readings from the backend, in words; empty if nothing does. */
  get faults(): string[] {
    const { fault } = this.#health;
    const { stuck } = this.#lanes;
    const devices = stuck === 1 ? "1 device waits" : `${stuck} devices wait`;
    const held = `${devices} behind a reading that the backend does not take`;
    return [...fault === undefined ? [] : [fault], ...stuck === 0 ? [] : [held]];
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
    note(lane);
    lane.sequences.push(sequence);
    if (known === undefined) this.#enqueue(lane);
  }

  #enqueue(lane: Lane): void {
    this.#lanes.enqueue(lane);
    this.#serve();
  }

  #serve(): void {
    while (this.#started && this.#answering < ANSWERS_MAX) {
      const lane = this.#lanes.dequeue({
        limit: this.#health.limit,
        underWay: this.#underWay,
        retrying: this.#retrying,
      });
      if (lane === undefined) break;
      this.#underWay++;
      if (lane.tries > 0) this.#retrying++;
      this.#send(lane);
    }
    if (!this.#started && this.#underWay + this.#answering === 0) this.#idle?.();
  }

  /** Sends the first entry of a lane and says what is next for the lane. */
  async #send(lane: Lane): Promise<void> {
    const retried = lane.tries > 0;
    if (this.#isRemoved(lane)) {
      this.#leave(retried);
      return this.#skip(lane);
    }
    const entry = lane.readAhead.peek() ?? await this.#read(lane);
    if (entry === undefined || entry === "unreadable") {
      this.#leave(retried);
      return entry === undefined ? this.#skip(lane) : this.#wait(lane, UNREADABLE_WAIT_MS);
    }
    const outcome = await this.#deliver(lane, entry);
    this.#leave(retried);
    if (this.#stop.signal.aborted && outcome.kind === "no_answer") return this.#serve();
    this.#parts.emit({ kind: "backend_outcome", outcome });
    if (this.#health.record(outcome, { retried })) this.#wakeUnanswered();
    if (outcome.kind === "answer" && this.#dispositionOf(outcome) !== "retry") {
      this.#answer(entry, outcome);
      return this.#next(lane);
    }
    this.#retry(lane, entry, outcome);
  }

  async #deliver(lane: Lane, entry: OutboxEntry): Promise<Outcome> {
    const { steadyMs, backend, emit, failpoint } = this.#parts;
    const isFirst = ++lane.tries === 1 && entry.sequence > lane.requeuedUpTo;
    const waitedMs = isFirst ? Math.max(0, steadyMs() - entry.acceptedMs) : undefined;
    emit({ kind: "delivery_started", entry, waitedMs });
    const delivered = backend.deliver(entry, this.#stop.signal);
    failpoint("posted");
    const outcome = await delivered;
    failpoint("answered");
    return outcome;
  }

  #leave(retried: boolean): void {
    this.#underWay--;
    if (retried) this.#retrying--;
  }

  /** The entry in front, and some that follow; undefined if it is not in the store any longer. */
  async #read(lane: Lane): Promise<OutboxEntry | undefined | "unreadable"> {
    const sequences = lane.sequences.first(this.#readAhead.readable);
    try {
      const read = await this.#parts.store.read(sequences);
      for (const [place, entry] of read.entries()) {
        const isNext = entry.sequence === sequences[place];
        if (!isNext || place > 0 && !this.#readAhead.hasRoom(entry)) break;
        lane.readAhead.push(entry);
        this.#readAhead.add(entry);
      }
    } catch {
      return "unreadable"; // the store's fault, which the committer reports and waits out
    }
    return lane.readAhead.peek();
  }

  #isRemoved({ removed, sequences }: Lane): boolean {
    return removed.size > 0 && removed.delete(sequences.peek()!);
  }

  /** The entry in front was taken out of the store by another process. */
  #skip(lane: Lane): void {
    this.#parts.committer.settle({ sequence: lane.sequences.peek()!, deadLetter: undefined });
    this.#next(lane);
  }

  /** The entry in front is finished: the lane goes to the end of the queue, or is removed. */
  #next(lane: Lane): void {
    lane.sequences.shift();
    const kept = lane.readAhead.shift();
    if (kept) this.#readAhead.remove(kept);
    Object.assign(lane, { tries: 0, reminder: undefined, stuck: false });
    if (lane.sequences.length > 0) return this.#enqueue(lane);
    this.#lanes.close(lane);
    this.#serve();
  }

  /** Brings the answer to the device, then settles; the lane does not wait for it. */
  async #answer(entry: OutboxEntry, answer: Answer): Promise<void> {
    this.#answering++;
    const responded = await this.#parts.responder.respond(entry, answer, this.#stop.signal);
    this.#answering--;
    this.#parts.failpoint("settling");
    if (responded) this.#settle(entry, answer);
    this.#serve();
  }

  #settle(entry: OutboxEntry, answer: Answer): void {
    if (this.#dispositionOf(answer) === "rejected") {
      const reason = `the backend refused it with status ${answer.status}`;
      return this.#deadLetter(entry, reason, answer);
    }
    this.#parts.committer.settle({ sequence: entry.sequence, deadLetter: undefined });
    this.#parts.emit({ kind: "message_delivered", entry });
  }

  #deadLetter(entry: OutboxEntry, reason: string, outcome: Outcome): void {
    const deadLetteredAtMs = this.#parts.clock.wallMs();
    const status = outcome.kind === "answer" ? outcome.status : undefined;
    const deadLetter = { status, reason, deadLetteredAtMs, answer: keptAnswer(outcome) };
    this.#parts.committer.settle({ sequence: entry.sequence, deadLetter });
    this.#parts.emit({ kind: "message_dead_lettered", entry, reason });
  }

  #retry(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    const { retryFirstMs, retryLongestMs, giveUpAfterMs } = this.#options;
    const { steadyMs, random, clock, emit } = this.#parts;
    if (this.#isRemoved(lane)) return this.#skip(lane);
    if (steadyMs() - entry.acceptedMs > giveUpAfterMs) {
      const last = outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
      this.#deadLetter(entry, `not delivered within its time, last: ${last}`, outcome);
      return this.#next(lane);
    }
    const delayMs = retryDelayMs(outcome, lane.tries, {
      backoff: { firstMs: retryFirstMs, longestMs: retryLongestMs },
      random: random(),
      nowMs: clock.wallMs(),
    });
    emit({ kind: "delivery_retried", entry, outcome, delayMs });
    this.#remind(lane, entry, outcome);
    lane.unanswered = outcome.kind === "no_answer";
    this.#wait(lane, delayMs);
  }

  /** While the backend takes nothing at all, that alone is said. */
  #remind(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    const { clock, steadyMs, emit } = this.#parts;
    lane.reminder ??= new Reminder(clock.monotonicMs());
    if (this.#health.fault !== undefined && this.#lanes.size > 1) return;
    if (!lane.reminder.isDue(clock.monotonicMs())) return;
    lane.stuck = true;
    const ageMs = Math.max(0, steadyMs() - entry.acceptedMs);
    emit({ kind: "delivery_stuck", entry, outcome, ageMs, tries: lane.tries });
  }

  #waiting(): Waiting {
    let oldest: OutboxEntry | undefined;
    for (const { tries, readAhead } of this.#lanes) {
      const entry = tries > 0 ? readAhead.peek() : undefined;
      if (entry && entry.acceptedMs < (oldest?.acceptedMs ?? Infinity)) oldest = entry;
    }
    const ageMs = oldest && Math.max(0, this.#parts.steadyMs() - oldest.acceptedMs);
    return {
      devices: this.#lanes.size,
      oldest: oldest && { deviceId: oldest.deviceId, ageMs: ageMs! },
    };
  }

  #dispositionOf(outcome: Outcome) {
    return dispositionOf(outcome, this.#options.retryStatuses);
  }

  #wait(lane: Lane, delayMs: number): void {
    if (this.#started) lane.timer = setTimeout(() => this.#wake(lane), delayMs);
    this.#serve();
  }

  #wake(lane: Lane): void {
    clearTimeout(lane.timer);
    lane.timer = undefined;
    lane.unanswered = false;
    this.#enqueue(lane);
  }

  /** The backend answers again: no lane waits for it any longer. */
  #wakeUnanswered(): void {
    for (const lane of this.#lanes) if (lane.unanswered) this.#wake(lane);
  }
}
