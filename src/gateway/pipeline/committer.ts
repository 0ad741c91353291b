/**
 * The one writer: brings batches and settlements into the store, one transaction after another.
 *
 * The rules are:
 * - group commit: settlements are written together with the next batch of messages; without
 *   messages they wait for more of their kind, since each commit costs a sync of the disk;
 * - what the gateway enters in the audit goes along with the next transaction;
 * - a commit that fails is tried again until it works, or until the store is lost and a valid one is
 *   found in its place; nothing is acknowledged in between;
 * - before each try the batch is examined again: a device revoked in between stays out.
 */

import type { AdmissionPolicy } from "../../core/admission.ts";
import type { AuditNote } from "../../core/audit_note.ts";
import type {
  ChangedCommand,
  CommandChange,
  CommandChangeResult,
} from "../../core/command_store.ts";
import type { Settlement } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import type { OutboxEntry, WaitingEntry } from "../../core/outbox_entry.ts";
import type { CommitResult, ExaminedBatch, MessageStore, Tidying } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import type { TokenBucket } from "../../core/token_bucket.ts";
import type { Clock } from "../../time/clock.ts";
import type { CatchUp } from "./catch_up.ts";
import { commandFailpoints } from "./command_failpoints.ts";
import type { LaneHolds } from "./lane_holds.ts";
import { NoteQueue } from "./note_queue.ts";

/** How long settlements wait for others, and at how many they are written at once. */
const SETTLE_WITHIN_MS = 20;
const SETTLE_AT_ONCE = 256;

/** A commit that takes longer is said to have failed: it may come to an end yet. */
const COMMIT_SLOW_MS = 3_000;

/** Changes of commands are written at once, but not alone so soon after the commit before. */
const CHANGES_PAUSE_MS = 10;

const RETRY_FIRST_MS = 50;
const RETRY_LONGEST_MS = 2_000;

/** What the committer works with. */
interface CommitterParts {
  readonly store: MessageStore;
  readonly catchUp: CatchUp;
  readonly policy: AdmissionPolicy;
  readonly clock: Clock;
  /** Unix milliseconds that never step. */
  readonly steadyMs: () => number;
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** Who sends what is in the outbox. */
interface EntryConsumer {
  /** Takes an entry that was put into the outbox just now. */
  add(entry: OutboxEntry): void;
  /** Takes an entry that another process has put back into the outbox. */
  requeue(entry: WaitingEntry): void;
  /** Forgets an entry that another process has taken out of the outbox. */
  remove(entry: WaitingEntry): void;
  /** Entries that wait for another gateway's. */
  readonly holds: Pick<LaneHolds, "behind" | "learn" | "release">;
}

/** Hears of each command that has changed, once that is on the disk. */
interface CommandListener {
  changed(commands: readonly ChangedCommand[]): void;
}

/** What a gateway begins with. */
interface CommitterStart {
  /** Entries that an earlier run has left in the outbox. */
  readonly pending: number;
  readonly entries: EntryConsumer;
  readonly commands: CommandListener;
}

/** What is to be committed besides the settlements. */
interface CommitWork {
  /** Examines the messages; called before each try. */
  examine(): Promise<ExaminedBatch>;
  /** Read at each try. */
  tidying(): Tidying | undefined;
  /** Called once it is on the disk, before its entries are handed on and anything else is written. */
  committed(result: CommitResult): void;
}

const NO_MESSAGES: CommitWork = {
  examine: () => Promise.resolve({ examined: [], registryRevision: undefined }),
  tidying: () => undefined,
  committed: () => {},
};

/** A change of a command that waits for its transaction. */
interface WaitingChange {
  readonly change: CommandChange;
  /** True: it is tried until it works; otherwise the one who asked is told at once. */
  readonly isPatient: boolean;
  done(result: CommandChangeResult | undefined): void;
}

/** The committer. */
export class Committer {
  /** Resolves when the store was lost and a valid one is in its place, or must be opened again. */
  readonly replaced: Promise<void>;
  readonly #parts: CommitterParts;
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #replaced = Promise.withResolvers<void>();
  readonly #notes = new NoteQueue();
  #settlements: Settlement[] = [];
  #changes: WaitingChange[] = [];
  #start: CommitterStart | undefined;
  #settleTimer: ReturnType<typeof setTimeout> | undefined;
  #changeTimer: ReturnType<typeof setTimeout> | undefined;
  /** When the last commit ended. */
  #committedMs = -Infinity;
  /** The commit that runs or waits last; never rejects. */
  #last: Promise<unknown> = Promise.resolve();
  #underWay = 0;
  #pending = 0;
  #onPending: (pending: number) => void = () => {};
  #fault: string | undefined;
  #closing = false;
  #settleDue = false;
  #isOver = false;
  #endPause: (() => void) | undefined;

  constructor(parts: CommitterParts) {
    this.#parts = parts;
    this.replaced = this.#replaced.promise;
  }

  /** Entries in the outbox. */
  get pending(): number {
    return this.#pending;
  }

  /** Tells `listener` how many entries are in the outbox, now and after each commit. */
  watchPending(listener: (pending: number) => void): void {
    this.#onPending = listener;
    listener(this.#pending);
  }

  /** Why the store cannot be written; undefined while it can. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Begins; called once, before anything is committed. */
  start(start: CommitterStart): void {
    this.#start = start;
    this.#pending = start.pending;
    this.#onPending(this.#pending);
  }

  /** An entry is finished; it leaves the outbox in the next transaction. */
  settle(settlement: Settlement): void {
    this.#settlements.push(settlement);
    if (this.#settlements.length < SETTLE_AT_ONCE) {
      this.#settleTimer ??= setTimeout(() => this.#settleNow(), SETTLE_WITHIN_MS);
    } else {
      this.#settleNow();
    }
  }

  /** Is entered in the audit with the next transaction, which intake makes twice a second. */
  note(note: AuditNote): void {
    this.#notes.add(note);
  }

  /**
   * Changes a command in the next transaction. Resolves to what came of it, or to undefined if it
   * cannot be written: at once if the store fails, or, if `isPatient`, when the committer ends.
   */
  change(
    change: CommandChange,
    { isPatient = false } = {},
  ): Promise<CommandChangeResult | undefined> {
    const isLate = this.#isOver || this.#closing && !isPatient;
    if (isLate) return Promise.resolve(undefined);
    return new Promise((done) => {
      this.#changes.push({ change, isPatient, done });
      this.#changeTimer ??= setTimeout(() => this.#settleNow(), this.#changesPauseMs());
    });
  }

  /** One transaction; undefined if the committer was closed, or the store is lost. */
  commit(work: CommitWork): Promise<CommitResult | undefined> {
    this.#underWay++;
    const committed = this.#last.then(() => this.#persist(work));
    this.#last = committed.catch(() => {}).then(() => {
      if (--this.#underWay === 0 && this.#settleDue) this.#settleNow();
    });
    return committed;
  }

  /** What fails from now on stays with the broker and in the outbox. */
  stopRetrying(): void {
    this.#closing = true;
    this.#parts.store.stopWaiting();
    this.#endPause?.();
  }

  #changesPauseMs(): number {
    const sinceMs = this.#parts.clock.monotonicMs() - this.#committedMs;
    return Math.max(0, CHANGES_PAUSE_MS - sinceMs);
  }

  /** Writes the settlements and notes that are left, once, and ends. */
  async close(): Promise<void> {
    this.stopRetrying();
    this.#clearTimers();
    await this.#last;
    const isWork = this.#settlements.length + this.#changes.length > 0 || !this.#notes.isEmpty;
    if (isWork) await this.commit(NO_MESSAGES);
    this.#end();
  }

  #end(): void {
    this.#isOver = true;
    for (const { done } of this.#changes.splice(0)) done(undefined);
  }

  /** At once, or with the commit that is running, or right after it. */
  #settleNow(): void {
    this.#clearTimers();
    this.#settleDue = this.#underWay > 0;
    const isWork = this.#settlements.length > 0 || this.#changes.length > 0;
    if (isWork && !this.#settleDue) this.commit(NO_MESSAGES);
  }

  #clearTimers(): void {
    clearTimeout(this.#settleTimer);
    clearTimeout(this.#changeTimer);
    this.#settleTimer = this.#changeTimer = undefined;
  }

  async #persist(work: CommitWork): Promise<CommitResult | undefined> {
    for (let delayMs = RETRY_FIRST_MS; !this.#isOver;) {
      try {
        return await this.#watched(this.#try(work));
      } catch (error) {
        if (this.#parts.store.isStale(error as Error)) continue;
        if (this.#parts.store.needsReopen(error as Error)) return this.#reopen(error as Error);
        this.#fail(error as Error);
        if (this.#closing) return undefined;
        const lost = this.#parts.store.isLost(error as Error);
        await (lost ? this.#awaitSoundStore() : this.#pause(delayMs));
        delayMs = Math.min(RETRY_LONGEST_MS, delayMs * 2);
      }
    }
    return undefined;
  }

  async #try({ examine, tidying, committed }: CommitWork): Promise<CommitResult> {
    const { store, policy, clock, steadyMs, catchUp, emit, failpoint } = this.#parts;
    const examined = await examine();
    failpoint("verified");
    const settlements = [...this.#settlements];
    const notes = this.#notes.waiting();
    const changes = [...this.#changes];
    const wallMs = clock.wallMs();
    const held = this.#start?.entries.holds.behind ?? [];
    const result = await store.commit({
      ...examined,
      settlements,
      notes,
      held,
      commandChanges: changes.map(({ change }) => change),
      buckets: this.#buckets,
      policy,
      facts: {
        outageSinceSeconds: catchUp.outageSinceSeconds,
        monotonicMs: clock.monotonicMs(),
      },
      wallMs,
      acceptedMs: steadyMs(),
      attendedSeconds: catchUp.touch(secondsOf(wallMs)),
      tidy: tidying(),
    });
    this.#committedMs = clock.monotonicMs();
    this.#settlements.splice(0, settlements.length);
    this.#notes.written(notes);
    this.#changes.splice(0, changes.length);
    this.#works(result);
    const written = changes.map(({ change }) => change);
    for (const point of commandFailpoints(written, result)) failpoint(point);
    committed(result);
    this.#handOn(result, held);
    changes.forEach(({ done }, i) => done(result.commandResults[i]));
    const expired = result.expiredDeadLetters;
    if (expired.count > 0) emit({ kind: "dead_letters_expired", ...expired });
    return result;
  }

  /** Before anything else is written, so that each lane has its entries in their order. */
  #handOn(result: CommitResult, held: readonly string[]): void {
    const { committed, callbacks, requeued, removed, changedCommands, behind } = result;
    const { entries, commands } = this.#start ?? {};
    entries?.holds.learn(held, behind);
    for (const entry of removed) entries?.remove(entry);
    for (const entry of requeued) entries?.requeue(entry);
    const accepted = committed.flatMap((one) => one.kind === "accepted" ? [one.entry] : []);
    const added = callbacks.length === 0
      ? accepted
      : [...accepted, ...callbacks].sort((a, b) => a.sequence - b.sequence);
    entries?.holds.release(held);
    for (const entry of added) entries?.add(entry);
    if (changedCommands.length > 0) commands?.changed(changedCommands);
  }

  #works({ pending, spent }: CommitResult): void {
    this.#pending = pending;
    this.#onPending(pending);
    for (const [deviceId, bucket] of spent) this.#buckets.set(deviceId, bucket);
    if (this.#fault === undefined) return;
    this.#fault = undefined;
    this.#parts.emit({ kind: "store_recovered" });
    this.#parts.catchUp.end("store");
  }

  #fail({ message }: Error): void {
    this.#say(message);
    this.#refuseChanges();
  }

  #say(fault: string): void {
    this.#parts.catchUp.begin("store");
    if (this.#fault !== fault) this.#parts.emit({ kind: "store_failed", reason: fault });
    this.#fault = fault;
  }

  /** Says it of a commit that does not come back. */
  async #watched<T>(commit: Promise<T>): Promise<T> {
    const timer = setTimeout(() => this.#say("it does not answer"), COMMIT_SLOW_MS);
    try {
      return await commit;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Who is not patient is told at once: nothing is sent while the store cannot be written. */
  #refuseChanges(): void {
    const waiting = this.#changes;
    this.#changes = waiting.filter(({ isPatient }) => isPatient);
    for (const { isPatient, done } of waiting) if (!isPatient) done(undefined);
  }

  /** Nothing failed: this batch is for a gateway that opens the store again. */
  #reopen({ message }: Error): undefined {
    this.#parts.emit({ kind: "store_reopened", reason: message });
    this.#refuseChanges();
    this.#replaced.resolve();
  }

  /** The old connection never reaches a new file: this committer ends. */
  async #awaitSoundStore(): Promise<void> {
    while (!this.#closing && !await this.#parts.store.canReopen()) {
      await this.#pause(RETRY_LONGEST_MS);
    }
    if (this.#closing) return;
    this.#end();
    this.#parts.emit({ kind: "store_replaced" });
    this.#replaced.resolve();
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
}
