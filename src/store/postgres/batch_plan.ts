/** A batch that is decided on: what it writes, and what it comes to once that is on the disk. */

import {
  admit,
  type Candidate,
  type Decided,
  type SignedAcknowledgement,
} from "../../core/admission.ts";
import type { CommandChangeResult, CommandName } from "../../core/command_store.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { Batch, CommitResult, Committed } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import { AGE_CLOCK_MARK } from "../age_clock.ts";
import { hasStepped, isAttendanceDue, STEADY_OFFSET_MARK } from "../clock_marks.ts";
import { CommandChanges } from "../command_changes.ts";
import type { PeriodChanges } from "../rejection_periods.ts";
import type { MessageLimits } from "../store.ts";
import { BatchWrites } from "./batch_writes.ts";
import { type CommandBatch, OVERDUE_MAX } from "./command_batch.ts";
import type { Query } from "./connection.ts";
import type { NodeState } from "./node_state.ts";

/** What `tidy` has done. */
export interface TidyResult {
  /** Device and message id of each dead letter that was dropped, the oldest first. */
  readonly expired: readonly (readonly [string, string])[];
  /** True if there is more to delete. */
  readonly untidy: boolean;
  /** True if the time of a command is over. */
  readonly overdue: boolean;
}

/** What became of a message; an entry that has no number yet is named by its place. */
type Outcome = Exclude<Committed, { kind: "accepted" }> | {
  readonly kind: "entered";
  readonly identity: string;
  readonly place: number;
};

/** What a plan is made with. */
interface PlanOptions {
  readonly limits: MessageLimits;
  /** Which of the verified messages have ids that were used before. */
  readonly known: readonly number[];
  /** Undefined: nothing is tidied with this batch. */
  readonly ageMs: number | undefined;
}

/** The plan. Without commands it is whole at once; with them, when `changeCommands` was called. */
export class BatchPlan {
  writes!: BatchWrites;
  readonly #batch: Batch;
  readonly #state: NodeState;
  readonly #options: PlanOptions;
  readonly #verified: readonly Candidate[];
  #outcomes: Outcome[] = [];
  #commandResults: readonly CommandChangeResult[] = [];
  #changes: CommandChanges | undefined;
  #isMoreOverdue = false;
  #periods!: PeriodChanges;
  #admission!: ReturnType<typeof admit>;

  constructor(batch: Batch, state: NodeState, options: PlanOptions) {
    this.#batch = batch;
    this.#state = state;
    this.#options = options;
    this.#verified = batch.examined.filter((one): one is Candidate =>
      one.kind === "candidate" && one.signedPayload !== undefined
    );
    if (!this.hasCommands) this.#decide(undefined);
  }

  /** True if commands have to be read before this can be decided on. */
  get hasCommands(): boolean {
    const { commandChanges, examined } = this.#batch;
    return commandChanges.length > 0 || this.#hasStepped() ||
      examined.some(({ kind }) => kind === "acknowledgement");
  }

  /** What of commands the batch is about; with those whose time is over if `isOverdue`. */
  commandNames(isOverdue: boolean) {
    const { commandChanges, examined, wallMs } = this.#batch;
    const acknowledgements = examined.filter((one): one is SignedAcknowledgement =>
      one.kind === "acknowledgement"
    );
    const overdueSeconds = isOverdue ? secondsOf(wallMs) : undefined;
    return { changes: commandChanges, acknowledgements, overdueSeconds };
  }

  /** Decides on all of it, and makes what a step of the wall clock asks for. */
  async changeCommands(query: Query, commands: CommandBatch): Promise<void> {
    if (this.#hasStepped()) {
      const { acceptedMs, wallMs } = this.#batch;
      await query(
        `UPDATE commands
         SET expires = least(expires_asked, accepted_steady + expires_asked - created - $1::bigint)
         WHERE payload IS NOT NULL AND node = $2`,
        [secondsOf(acceptedMs - wallMs), this.#state.node],
      );
    }
    this.#decide(commands);
  }

  /** The parameters of `intake`. */
  parameters(
    { node, number, isReplicated }: {
      readonly node: string;
      readonly number: number;
      readonly isReplicated: boolean;
    },
  ): unknown[] {
    const { wallMs, acceptedMs, registryRevision } = this.#batch;
    const { epoch, forgottenSeconds } = this.#state;
    const seen = {
      revision: registryRevision ?? null,
      forgotten: this.#verified.length > 0 ? forgottenSeconds : null,
      known: this.#options.known,
      replicated: isReplicated,
    };
    return [
      ...[node, epoch, number, secondsOf(wallMs), Math.round(acceptedMs), JSON.stringify(seen)],
      this.#verified.map(({ envelope }) => envelope.deviceId),
      this.#verified.map(({ envelope }) => envelope.messageId),
      ...this.writes.parameters(),
    ];
  }

  /** It is on the disk: the entries have these numbers. */
  apply(numbers: readonly number[]) {
    const state = this.#state;
    state.periods.apply(this.#periods);
    const { marks, entries } = this.writes;
    state.attendedSeconds = marks.get("attended_seconds") ?? state.attendedSeconds;
    state.steadyOffsetMs = marks.get(STEADY_OFFSET_MARK) ?? state.steadyOffsetMs;
    if (state.ageMarkMs === marks.get(AGE_CLOCK_MARK)) state.ageMarkMs = undefined;
    const numbered = entries.map(({ timestampSeconds: _, ...entry }, i): OutboxEntry => ({
      ...entry,
      sequence: numbers[i]!,
    }));
    const committed = this.#outcomes.map((one): Committed =>
      one.kind === "entered"
        ? { kind: "accepted", identity: one.identity, entry: numbered[one.place]! }
        : one
    );
    return {
      committed,
      callbacks: numbered.filter(({ commandState }) => commandState !== undefined),
      commandResults: this.#commandResults,
      changedCommands: this.#changes?.changed ?? [],
      spent: this.#admission.spent,
      late: this.#admission.late,
      isMoreOverdue: this.#isMoreOverdue,
    } satisfies Partial<CommitResult> & { isMoreOverdue: boolean };
  }

  /** A command's copy is about to be published: its id is taken. */
  remember({ deviceId, messageId }: CommandName, timestampSeconds: number): void {
    this.writes.copies.push({ deviceId, messageId, timestampSeconds });
  }

  /** An entry that tells of a command's state. */
  tell(entry: Omit<OutboxEntry, "sequence">): void {
    this.writes.entries.push({ ...entry, timestampSeconds: undefined });
  }

  #decide(commands: CommandBatch | undefined): void {
    const { settlements, notes, held, examined, acceptedMs, wallMs, commandChanges } = this.#batch;
    this.writes = this.#state.writes = new BatchWrites({
      settlements: settlements.map((one) => this.#dated(one)),
      ...{ notes, held },
    });
    const moment = { nowSeconds: secondsOf(wallMs), acceptedMs };
    const changes = commands && new CommandChanges(commands, this.#options.limits.commands, moment);
    this.#changes = changes;
    this.#commandResults = commandChanges.map((one) => changes!.change(one));
    this.#admission = this.#admit();
    for (const one of examined) {
      const isHeard = one.kind === "acknowledgement" ||
        one.kind === "candidate" && one.signedPayload !== undefined;
      if (isHeard) this.writes.heard.add(one.identity);
    }
    const verdicts = this.#admission.decided.values();
    this.#outcomes = examined.map((one) =>
      one.kind === "acknowledgement"
        ? changes!.acknowledge(one)
        : this.#enter(verdicts.next().value!)
    );
    this.#mark();
    changes?.timeOut(commands!.overdue);
    this.#isMoreOverdue = commands?.overdue.length === OVERDUE_MAX;
    const rejected = this.#outcomes.filter((one) => one.kind !== "entered");
    const tidies = this.#options.ageMs !== undefined;
    this.#periods = this.#state.periods.write(rejected, { tidies, wallMs });
  }

  /** A dead letter's time, as the clock has it by which it expires. */
  #dated(settlement: Batch["settlements"][number]): Batch["settlements"][number] {
    const { deadLetter } = settlement;
    if (deadLetter === undefined) return settlement;
    const deadLetteredAtMs = this.#state.ageClock.timeOf(deadLetter.deadLetteredAtMs);
    return { ...settlement, deadLetter: { ...deadLetter, deadLetteredAtMs } };
  }

  #admit(): ReturnType<typeof admit> {
    const { examined, buckets, policy, facts } = this.#batch;
    const keyOf = (deviceId: string, messageId: string) => `${messageId.toLowerCase()} ${deviceId}`;
    const known = new Set(this.#options.known.map((place) => {
      const { deviceId, messageId } = this.#verified[place]!.envelope;
      return keyOf(deviceId, messageId);
    }));
    const readings = examined.filter((one) => one.kind !== "acknowledgement");
    // An id of a copy that goes out with this batch is taken before its readings are looked at.
    for (const { deviceId, messageId } of this.writes.copies) known.add(keyOf(deviceId, messageId));
    return admit(readings, { has: (...name) => known.has(keyOf(...name)) }, {
      ...{ buckets, policy },
      facts: { ...facts, forgottenSeconds: this.#state.forgottenSeconds },
    });
  }

  #enter({ identity, messageId, verdict, envelope }: Decided): Outcome {
    if (verdict.kind === "rejected") {
      return { kind: "rejected", identity, messageId, rejection: verdict };
    }
    if (verdict.kind === "duplicate") return { ...verdict, identity };
    const { deviceId, timestamp, timestampSeconds } = envelope!;
    const place = this.writes.entries.push({
      ...{ deviceId, messageId: envelope!.messageId, timestamp, timestampSeconds },
      payload: new Uint8Array(verdict.payload), // a copy: the slice would hold on to its chunk
      acceptedMs: Math.round(this.#batch.acceptedMs),
      commandState: undefined,
    }) - 1;
    return { kind: "entered", identity, place };
  }

  /** So that a gateway that starts knows when the last one was here, and by which clock. */
  #mark(): void {
    const { attendedSeconds, examined, acceptedMs, wallMs } = this.#batch;
    const { marks } = this.writes;
    const { attendedSeconds: markedSeconds } = this.#state;
    if (isAttendanceDue(attendedSeconds, { markedSeconds, isWritten: examined.length > 0 })) {
      marks.set("attended_seconds", attendedSeconds);
    }
    if (this.#hasStepped()) marks.set(STEADY_OFFSET_MARK, Math.round(acceptedMs - wallMs));
    const { ageMarkMs } = this.#state;
    if (ageMarkMs !== undefined) marks.set(AGE_CLOCK_MARK, ageMarkMs);
  }

  /** True if the wall clock is not where the clock that never steps says it was. */
  #hasStepped(): boolean {
    const { acceptedMs, wallMs } = this.#batch;
    return hasStepped(acceptedMs - wallMs, this.#state.steadyOffsetMs);
  }
}
