/**
 * The outbox's way out: HTTP to the backend, and the backend's answer back to the device.
 *
 * The rules are:
 * - one lane for each device: its entries go in their order, one at a time; a lane that waits for
 *   its next try holds up no other;
 * - how many lanes are served at once follows what the backend takes (`core/pace.ts`);
 * - lanes with next to nothing waiting go first, so that live messages do not wait behind the
 *   backlog of others; every fourth turn is a backlog's, so that it is not starved either;
 * - an entry is settled only when its answer has reached the broker, so that no crash can deliver
 *   an entry and lose its answer;
 * - memory is bounded: of each lane only the first few entries are kept, and of all together only so
 *   many; the rest is read from the store when its turn comes.
 */

import {
  type Answer,
  dispositionOf,
  type Outcome,
  retryDelayMs,
  type Settlement,
} from "../../core/delivery.ts";
import { Fifo } from "../../core/fifo.ts";
import { ConcurrencyLimit } from "../../core/concurrency_limit.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import { type OutboxEntry, READ_MAX, type WaitingEntry } from "../../store/sqlite/outbox.ts";
import type { Clock } from "../../time/clock.ts";

/** Waiting entries that are kept in memory, over all lanes (of one: as many as are read at once). */
const KEPT_MAX_ENTRIES = 2_000;
/** The bytes of their payloads. */
const KEPT_MAX_BYTES = 4 * 1024 * 1024;

/** Wait of a lane whose entry the store cannot give. */
const UNREADABLE_WAIT_MS = 1_000;

/** Answers that may wait for the broker before no more entries are sent. */
const ANSWERS_MAX = 256;

/** Failures in a row, over all lanes, after which the backend counts as gone. */
const GONE_AFTER_FAILURES = 3;

/** A lane with more entries than this has a backlog. */
const LIVE_MAX = 2;

/** While there are live lanes, one turn in so many goes to a backlog. */
const BACKLOG_TURN = 4;

/** How an entry fares; also what the gateway logs and counts. */
export interface ForwarderEvents {
  /** The entry is about to be sent, for the first time where `tries` is 1. */
  sending(entry: OutboxEntry, tries: number): void;
  delivered(entry: OutboxEntry): void;
  retried(entry: OutboxEntry, outcome: Outcome, delayMs: number): void;
  buried(entry: OutboxEntry, reason: string): void;
  /** The backend stopped, or began again, to answer at all. */
  gone(reason: string): void;
  back(): void;
}

/** What the forwarder works with. */
export interface ForwarderParts {
  readonly clock: Clock;
  /** Unix milliseconds that never step; the clock of `OutboxEntry.acceptedMs`. */
  readonly steadyMs: () => number;
  readonly random: () => number;
  /** Sends one entry; total. */
  post(entry: OutboxEntry, stop: AbortSignal): Promise<Outcome>;
  /** Reads those of the entries (at most `READ_MAX`) that are there, in their order; may throw. */
  read(sequences: readonly number[]): readonly OutboxEntry[];
  /** Brings an answer to the device; false where `stop` came first and the entry must stay. */
  respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean>;
  settle(settlement: Settlement): void;
  readonly at: OnFailpoint;
}

/** How it goes about it. */
export interface ForwarderOptions {
  readonly concurrency: number;
  readonly retryFirstMs: number;
  readonly retryLongestMs: number;
  readonly giveUpAfterMs: number;
}

/** One device's entries, in order. */
interface Lane {
  readonly deviceId: string;
  readonly sequences: Fifo<number>;
  /** The first of these entries, as far as they are kept. */
  readonly kept: Fifo<OutboxEntry>;
  /** Tries of the entry in front. */
  tries: number;
  timer: ReturnType<typeof setTimeout> | undefined;
  /** True while it waits only because nobody answered. */
  unanswered: boolean;
}

/** The forwarder. */
export class Forwarder {
  readonly #parts: ForwarderParts;
  readonly #events: ForwarderEvents;
  readonly #options: ForwarderOptions;
  readonly #pace: ConcurrencyLimit;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes whose first entry may be sent now. */
  readonly #live = new Fifo<Lane>();
  readonly #backlog = new Fifo<Lane>();
  /** Lanes whose first entry was tried in vain, and may be tried again now. */
  readonly #again = new Fifo<Lane>();
  #turn = 0;
  #keptEntries = 0;
  #keptBytes = 0;
  #underWay = 0;
  /** Of those, entries that were tried in vain before. */
  #retrying = 0;
  #answering = 0;
  #failuresInARow = 0;
  /** True where one of these failures was an entry's first. */
  #freshFailed = false;
  #gone = false;
  #started = false;
  readonly #stop = new AbortController();
  #idle: (() => void) | undefined;

  constructor(parts: ForwarderParts, events: ForwarderEvents, options: ForwarderOptions) {
    this.#parts = parts;
    this.#events = events;
    this.#options = options;
    this.#pace = new ConcurrencyLimit(options.concurrency);
  }

  /** Takes a new entry, or one that an earlier run left (without its payload). */
  add(entry: OutboxEntry | WaitingEntry): void {
    const lane = this.#lanes.get(entry.deviceId);
    if (lane) return this.#append(lane, entry);
    const fresh: Lane = {
      deviceId: entry.deviceId,
      sequences: new Fifo(),
      kept: new Fifo(),
      tries: 0,
      timer: undefined,
      unanswered: false,
    };
    this.#append(fresh, entry);
    this.#lanes.set(entry.deviceId, fresh);
    this.#enqueue(fresh);
  }

  /** Begins to send. */
  start(): void {
    this.#started = true;
    this.#serve();
  }

  /** Sends no more; waits up to `graceMs` for what is under way, then breaks it off. */
  async stop(graceMs: number): Promise<void> {
    this.#started = false;
    for (const lane of this.#lanes.values()) clearTimeout(lane.timer);
    if (this.#underWay + this.#answering === 0) return;
    const timer = setTimeout(() => this.#stop.abort(), graceMs);
    await new Promise<void>((resolve) => this.#idle = resolve);
    clearTimeout(timer);
  }

  /** Lanes that have something to send. */
  get lanes(): number {
    return this.#lanes.size;
  }

  #serve(): void {
    while (this.#started && this.#answering < ANSWERS_MAX) {
      const lane = this.#dequeue();
      if (lane === undefined) break;
      this.#underWay++;
      if (lane.tries > 0) this.#retrying++;
      this.#send(lane);
    }
    if (!this.#started && this.#underWay + this.#answering === 0) this.#idle?.();
  }

  #enqueue(lane: Lane): void {
    if (lane.tries > 0) this.#again.push(lane);
    else (lane.sequences.length <= LIVE_MAX ? this.#live : this.#backlog).push(lane);
    this.#serve();
  }

  /**
   * The lane whose turn it is; undefined where none may be served now. Entries that failed before
   * have half of the places, and the others never wait for them: what ails one entry may hold it,
   * and its place, until the time-out.
   */
  #dequeue(): Lane | undefined {
    const { limit } = this.#pace;
    const free = this.#underWay < limit;
    const retries = Math.max(1, limit >> 1);
    if (this.#retrying < retries && (free || this.#retrying === 0) && this.#again.length > 0) {
      return this.#again.shift();
    }
    if (!free && this.#underWay > this.#retrying) return undefined;
    const backlogFirst = ++this.#turn % BACKLOG_TURN === 0;
    const [first, second] = backlogFirst
      ? [this.#backlog, this.#live]
      : [this.#live, this.#backlog];
    return first.shift() ?? second.shift();
  }

  /** Sends the first entry of a lane and says what is next for the lane. */
  async #send(lane: Lane): Promise<void> {
    const entry = this.#entry(lane);
    const retried = lane.tries > 0;
    if (entry === undefined || entry === "unreadable") {
      this.#underWay--;
      if (retried) this.#retrying--;
      return entry === undefined ? this.#skip(lane) : this.#wait(lane, UNREADABLE_WAIT_MS);
    }
    lane.tries++;
    this.#events.sending(entry, lane.tries);
    const posted = this.#parts.post(entry, this.#stop.signal);
    this.#parts.at("posted");
    const outcome = await posted;
    this.#parts.at("answered");
    this.#underWay--;
    if (retried) this.#retrying--;
    if (this.#stop.signal.aborted && outcome.kind === "no_answer") return this.#serve();
    this.#steer(outcome, retried);
    if (outcome.kind === "answer" && dispositionOf(outcome) !== "again") {
      this.#answer(entry, outcome);
      return this.#next(lane);
    }
    this.#retry(lane, entry, outcome);
  }

  #append(lane: Lane, entry: OutboxEntry | WaitingEntry): void {
    const { sequences, kept } = lane;
    const next = kept.length === sequences.length && kept.length < READ_MAX;
    if (next && "payload" in entry && this.#hasRoom(entry)) this.#keep(lane, entry);
    sequences.push(entry.sequence);
  }

  #hasRoom({ payload }: OutboxEntry): boolean {
    return this.#keptEntries < KEPT_MAX_ENTRIES &&
      this.#keptBytes + payload.length <= KEPT_MAX_BYTES;
  }

  #keep(lane: Lane, entry: OutboxEntry): void {
    lane.kept.push(entry);
    this.#keptEntries++;
    this.#keptBytes += entry.payload.length;
  }

  /** The entry in front; undefined where it is not in the store any longer. */
  #entry(lane: Lane): OutboxEntry | undefined | "unreadable" {
    try {
      if (lane.kept.length === 0) this.#readAhead(lane);
      return lane.kept.peek();
    } catch {
      return "unreadable"; // the store's fault, which the intake reports and sees out
    }
  }

  /** Reads the first entries of a lane: the one in front whatever room there is, and then some. */
  #readAhead(lane: Lane): void {
    const room = Math.min(READ_MAX, KEPT_MAX_ENTRIES - this.#keptEntries);
    const sequences = lane.sequences.first(Math.max(1, room));
    const read = this.#parts.read(sequences);
    for (const [place, entry] of read.entries()) {
      const isNext = entry.sequence === sequences[place];
      if (!isNext || place > 0 && !this.#hasRoom(entry)) break;
      this.#keep(lane, entry);
    }
  }

  /** The entry in front was taken out of the store by somebody else. */
  #skip(lane: Lane): void {
    this.#parts.settle({ sequence: lane.sequences.peek()!, deadLetter: undefined });
    this.#next(lane);
  }

  /** The entry in front is done with: the lane goes to the end of the queue, or away. */
  #next(lane: Lane): void {
    lane.sequences.shift();
    const kept = lane.kept.shift();
    if (kept) {
      this.#keptEntries--;
      this.#keptBytes -= kept.payload.length;
    }
    lane.tries = 0;
    if (lane.sequences.length > 0) return this.#enqueue(lane);
    this.#lanes.delete(lane.deviceId);
    this.#serve();
  }

  /** Brings the answer home, then settles; the lane does not wait for it. */
  async #answer(entry: OutboxEntry, answer: Answer): Promise<void> {
    this.#answering++;
    const responded = await this.#parts.respond(entry, answer, this.#stop.signal);
    this.#answering--;
    this.#parts.at("settling");
    if (responded) this.#settle(entry, answer);
    this.#serve();
  }

  #settle(entry: OutboxEntry, answer: Answer): void {
    const { sequence } = entry;
    if (dispositionOf(answer) === "delivered") {
      this.#parts.settle({ sequence, deadLetter: undefined });
      this.#events.delivered(entry);
    } else {
      this.#bury(entry, `the backend refused it with status ${answer.status}`, answer.status);
    }
  }

  #bury(entry: OutboxEntry, reason: string, status: number | undefined): void {
    const deadLetteredAtMs = this.#parts.clock.wallMs();
    this.#parts.settle({
      sequence: entry.sequence,
      deadLetter: { status, reason, deadLetteredAtMs },
    });
    this.#events.buried(entry, reason);
  }

  #retry(lane: Lane, entry: OutboxEntry, outcome: Outcome): void {
    const status = outcome.kind === "answer" ? outcome.status : undefined;
    if (this.#parts.steadyMs() - entry.acceptedMs > this.#options.giveUpAfterMs) {
      const last = outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
      this.#bury(entry, `not delivered within its time, last: ${last}`, status);
      return this.#next(lane);
    }
    const delayMs = retryDelayMs(outcome, lane.tries, {
      backoff: { firstMs: this.#options.retryFirstMs, longestMs: this.#options.retryLongestMs },
      random: this.#parts.random(),
      nowMs: this.#parts.clock.wallMs(),
    });
    this.#events.retried(entry, outcome, delayMs);
    lane.unanswered = outcome.kind === "no_answer";
    this.#wait(lane, delayMs);
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

  /**
   * Learns from an outcome how the backend is; once it is back, nobody waits for it any longer. An
   * entry that fails again and again says nothing new: it may be the entry.
   */
  #steer(outcome: Outcome, retried: boolean): void {
    if (dispositionOf(outcome) === "again") return this.#failed(outcome, retried);
    this.#pace.succeeded();
    this.#failuresInARow = 0;
    this.#freshFailed = false;
    if (!this.#gone) return;
    this.#gone = false;
    this.#events.back();
    for (const lane of this.#lanes.values()) if (lane.unanswered) this.#wake(lane);
  }

  #failed(outcome: Outcome, retried: boolean): void {
    if (!retried || this.#gone) this.#pace.failed();
    if (outcome.kind !== "no_answer") return;
    this.#failuresInARow++;
    this.#freshFailed ||= !retried;
    if (this.#gone || !this.#freshFailed || this.#failuresInARow < GONE_AFTER_FAILURES) return;
    this.#gone = true;
    this.#events.gone(outcome.reason);
  }
}
