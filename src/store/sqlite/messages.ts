/**
 * The messages in SQLite: verdicts and their traces, and what the forwarder has settled, in one
 * transaction for each batch.
 *
 * The rules are:
 * - an id is remembered in the transaction that puts its message into the outbox, or not at all;
 * - what another process has put into the outbox is taken over before anything is added behind it;
 * - ids are forgotten, dead letters expired and the mark of attendance kept along with it;
 * - what is kept in memory is what is on the disk: it changes after the commit, and after a commit
 *   that failed the disk is looked at again.
 */

import type { MessageLimits } from "../store.ts";
import { StoreLostError, StoreReopenError } from "../store_error.ts";
import { admit, type Decided } from "../../core/admission.ts";
import type { Settlement } from "../../core/delivery.ts";
import type { Envelope } from "../../core/envelope.ts";
import { oldestRemembered } from "../../core/freshness.ts";
import type { OutboxEntry, WaitingEntry } from "../../core/outbox_entry.ts";
import type {
  Batch,
  CommitResult,
  Committed,
  MessageStore,
  StoreCounts,
  StoreMarks,
  Tidying,
} from "../../core/ports.ts";
import type { Held } from "../../core/receipt.ts";
import { secondsOf } from "../../core/time.ts";
import type { Accepted } from "../../core/verdict.ts";
import { AgeClock } from "../age_clock.ts";
import { hasStepped, isAttendanceDue, STEADY_OFFSET_MARK } from "../clock_marks.ts";
import type { CommandChanges } from "../command_changes.ts";
import { ageMarks } from "./age_marks.ts";
import { Commands, type CommandsDone } from "./commands.ts";
import { Database } from "./database.ts";
import { DeadLetters } from "./dead_letters.ts";
import { Outbox, steadyStart } from "./outbox.ts";
import { RejectionAudit } from "./rejection_audit.ts";
import { ReplayGuard } from "./replay_guard.ts";

/** Of so many segments the ids are that `checks.remember` keeps, if they are few. */
const REMEMBERED_SEGMENTS = 16;

/** A database's messages. */
export class SqliteMessages implements MessageStore {
  readonly nodes = undefined;
  readonly #database: Database;
  readonly #limits: MessageLimits;
  readonly #outbox: Outbox;
  readonly #deadLetters: DeadLetters;
  readonly #replayGuard: ReplayGuard;
  readonly #rejectionAudit: RejectionAudit;
  readonly #ageClock: AgeClock;
  readonly #commands: Commands;
  #pending = 0;
  #lastSequence = 0;
  /** Another one means that another process has written; undefined: look in any case. */
  #dataVersion: number | undefined;
  #markedSeconds = 0;

  constructor(database: Database, limits: MessageLimits) {
    this.#database = database;
    this.#limits = limits;
    this.#outbox = new Outbox(database);
    this.#deadLetters = new DeadLetters(database);
    this.#replayGuard = new ReplayGuard(database);
    this.#rejectionAudit = new RejectionAudit(database, limits.audit);
    this.#ageClock = new AgeClock(ageMarks(database));
    const parts = { outbox: this.#outbox, replayGuard: this.#replayGuard };
    this.#commands = new Commands(database, parts, limits.commands);
    this.#dataVersion = database.dataVersion();
  }

  // deno-lint-ignore require-await -- asynchronous in its signature: another engine has to wait
  async marks(): Promise<StoreMarks> {
    return {
      attendedSeconds: this.#database.readMark("attended_seconds") || undefined,
      newestSeconds: this.#replayGuard.newestSeconds(),
      steady: steadyStart(this.#database, this.#outbox),
    };
  }

  async *backlog(): AsyncIterable<WaitingEntry> {
    for (const entry of this.#outbox.after(0)) {
      this.#pending++;
      this.#lastSequence = entry.sequence;
      yield entry;
    }
  }

  // deno-lint-ignore require-await -- as above; a throw becomes a rejection
  async commit(batch: Batch): Promise<CommitResult> {
    const { examined, tidy, wallMs } = batch;
    const looksAround = examined.length > 0 || batch.commandChanges.length > 0 ||
      tidy !== undefined;
    const before = this.#dataVersion;
    this.#dataVersion = undefined; // until this commit is on the disk
    const dataVersionNow = { value: before };
    const nowSeconds = secondsOf(wallMs);
    const done = this.#replayGuard.transaction(
      { nowSeconds, segmentSeconds: this.#segmentSeconds(batch) },
      () => {
        for (const settlement of batch.settlements) this.#settle(settlement);
        for (const note of batch.notes) this.#database.audit.note(note);
        const requeued = looksAround
          ? this.#takeOver(before, dataVersionNow, batch.acceptedMs)
          : [];
        const removed = looksAround && dataVersionNow.value !== before
          ? this.#outbox.takeRemovals()
          : [];
        const { changes, done: commands } = this.#commands.begin({
          nowSeconds,
          acceptedMs: batch.acceptedMs,
        });
        this.#markSteadyClock(batch.acceptedMs - wallMs);
        const commandResults = batch.commandChanges.map((one) => changes.change(one));
        const forgottenSeconds = this.#replayGuard.forgottenSeconds();
        const facts = { ...batch.facts, forgottenSeconds };
        const readings = examined.filter((one) => one.kind !== "acknowledgement");
        const { decided, late, spent } = admit(readings, this.#replayGuard, { ...batch, facts });
        const verdicts = decided.values();
        const committed = examined.map((one) =>
          one.kind === "acknowledgement"
            ? changes.acknowledge(one)
            : this.#write(verdicts.next().value!, batch.acceptedMs)
        );
        const marked = this.#markAttendance(batch.attendedSeconds, committed.length > 0);
        const steadyMs = batch.acceptedMs;
        const ages = tidy && { ...tidy, ageMs: this.#ageClock.move({ wallMs, steadyMs }) };
        const tidied = ages ? this.#tidy(batch, changes, ages) : NOTHING_TIDIED;
        const rejections = this.#rejectionAudit.write(committed, { tidy: ages, wallMs });
        return {
          ...{ requeued, removed, committed, late, spent, marked, rejections, ...tidied },
          ...{ commands, commandResults },
        };
      },
    );
    this.#dataVersion = dataVersionNow.value;
    this.#rejectionAudit.apply(done.rejections);
    this.#markedSeconds = done.marked;
    this.#count(done, batch.settlements.length);
    const { changed: changedCommands, callbacks } = done.commands;
    return { ...done, changedCommands, callbacks, pending: this.#pending, behind: NOBODY };
  }

  // deno-lint-ignore require-await -- as above
  async read(sequences: readonly number[]): Promise<readonly OutboxEntry[]> {
    return this.#outbox.read(sequences);
  }

  // deno-lint-ignore require-await -- as above
  async held(deviceId: string, messageId: string): Promise<Held> {
    const between = this.#replayGuard.sequencesOf(deviceId, messageId);
    if (this.#outbox.has(deviceId, messageId, between)) return "pending";
    return this.#deadLetters.findMessage(deviceId, messageId) ? "dead" : "settled";
  }

  /** The broker's counter is of its own life; a lower one than the last is a new broker's. */
  // deno-lint-ignore require-await -- as above
  async countBrokerDrops(total: number): Promise<number> {
    const before = this.#database.readMark("broker_dropped");
    if (total === before) return 0;
    this.#database.transaction(() => this.#database.writeMark("broker_dropped", total));
    return total > before ? total - before : total;
  }

  // deno-lint-ignore require-await -- as above
  async counts(): Promise<StoreCounts> {
    return {
      deadLetters: this.#deadLetters.count(),
      replayIds: this.#replayGuard.count(),
      commandsWaiting: this.#commands.countWaiting(),
      listsBehind: 0,
      oldestAcceptedMs: this.#outbox.oldestAcceptedMs(),
    };
  }

  isStale(): boolean {
    return false;
  }

  stopWaiting(): void {}

  isLost(error: Error): boolean {
    return error instanceof StoreLostError;
  }

  needsReopen(error: Error): boolean {
    return error instanceof StoreReopenError;
  }

  // deno-lint-ignore require-await -- as above
  async canReopen(): Promise<boolean> {
    return Database.isSound(this.#database.path);
  }

  #settle({ sequence, deadLetter }: Settlement): void {
    if (deadLetter) {
      const deadLetteredAtMs = this.#ageClock.timeOf(deadLetter.deadLetteredAtMs);
      this.#deadLetters.deadLetter(sequence, { ...deadLetter, deadLetteredAtMs });
    }
    this.#outbox.remove(sequence);
  }

  /** What another process has put into the outbox; its clock may not be ours. */
  #takeOver(
    before: number | undefined,
    now: { value: number | undefined },
    acceptedMs: number,
  ): WaitingEntry[] {
    now.value = this.#database.dataVersion();
    if (now.value === before) return [];
    this.#outbox.reassignAcceptTime(this.#lastSequence, acceptedMs);
    return [...this.#outbox.after(this.#lastSequence)];
  }

  /** The traces of one verdict: an accepted message's id and its entry. */
  #write({ identity, messageId, verdict, envelope }: Decided, acceptedMs: number): Committed {
    if (verdict.kind === "rejected") {
      return { kind: "rejected", identity, messageId, rejection: verdict };
    }
    if (verdict.kind === "duplicate") return { ...verdict, identity };
    return { kind: "accepted", identity, entry: this.#accept(envelope!, verdict, acceptedMs) };
  }

  #accept(envelope: Envelope, { payload: signed }: Accepted, acceptedMs: number): OutboxEntry {
    const { deviceId, messageId, timestamp, timestampSeconds } = envelope;
    this.#replayGuard.remember(deviceId, messageId, timestampSeconds);
    const payload = new Uint8Array(signed); // a copy: the slice would hold on to its chunk
    const entry = { deviceId, messageId, timestamp, payload, acceptedMs };
    return this.#outbox.append({ ...entry, commandState: undefined });
  }

  /** So that entries and commands have their age if the wall clock steps, also after a restart. */
  #markSteadyClock(offsetMs: number): void {
    const marked = this.#database.readMark(STEADY_OFFSET_MARK);
    if (!hasStepped(offsetMs, marked)) return;
    this.#database.writeMark(STEADY_OFFSET_MARK, Math.round(offsetMs));
    this.#commands.clockStepped(offsetMs);
  }

  /** Returns what is marked on the disk. */
  #markAttendance(attendedSeconds: number | undefined, isWritten: boolean): number {
    const markedSeconds = this.#markedSeconds;
    if (!isAttendanceDue(attendedSeconds, { markedSeconds, isWritten })) return markedSeconds;
    this.#database.writeMark("attended_seconds", attendedSeconds);
    return attendedSeconds;
  }

  /** After so long a segment of remembered ids takes no more: longer ones if they are kept longer. */
  #segmentSeconds({ policy: { toleranceSeconds } }: Batch): number {
    return Math.max(toleranceSeconds, this.#limits.checks.rememberSeconds / REMEMBERED_SEGMENTS);
  }

  /** Forgets ids that can no longer matter, even for what is still held; expires dead letters. */
  #tidy(
    { wallMs, facts, policy }: Batch,
    changes: CommandChanges,
    { heldSinceMs, ageMs }: Tidying & { readonly ageMs: number },
  ) {
    const nowSeconds = secondsOf(Math.min(wallMs, heldSinceMs ?? Infinity));
    const { rememberSeconds } = this.#limits.checks;
    const forgets = this.#replayGuard.forget(
      oldestRemembered({ nowSeconds, ...facts }, policy),
      rememberSeconds === 0 ? Infinity : nowSeconds - rememberSeconds,
    );
    const moment = { nowSeconds: secondsOf(wallMs), ageMs };
    const untidy = this.#commands.tidy(changes, moment) || forgets;
    const expiredDeadLetters = this.#deadLetters.expire(this.#limits.deadLetters, ageMs);
    return { untidy, expiredDeadLetters };
  }

  #count(
    { committed, requeued, commands }: Pick<CommitResult, "committed" | "requeued"> & {
      readonly commands: CommandsDone;
    },
    settled: number,
  ): void {
    const accepted = committed.flatMap((one) => one.kind === "accepted" ? [one.entry] : []);
    const added = [...requeued, ...accepted, ...commands.callbacks];
    this.#pending += added.length - settled;
    for (const { sequence } of added) this.#lastSequence = Math.max(this.#lastSequence, sequence);
  }
}

/** No other gateway has entries. */
const NOBODY: ReadonlyMap<string, number> = new Map();

const NOTHING_TIDIED = {
  untidy: false,
  expiredDeadLetters: { count: 0, named: [], others: new Map<string, number>() },
};
