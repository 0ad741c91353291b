/**
 * Changes of commands, each decided on and written inside the transaction of a batch.
 *
 * The rules are:
 * - what a change makes of a command, `core/command_life.ts` says;
 * - the id of a copy is remembered with its timestamp before it is published: a command that comes
 *   back as a reading is replayed;
 * - a command's payload is gone once it is final;
 * - its time is over when the wall clock says so, or when so much time has passed, whichever comes
 *   first: a wall clock that is set back lets nothing be done later than was asked;
 * - each new state is told to the backend from the device's lane, if it wants to hear of them: `sent`
 *   only when the broker has answered, since a try that finds nobody is none.
 */

import type { SignedAcknowledgement } from "../core/admission.ts";
import {
  acknowledged,
  cancelled,
  type Command,
  copyConcluded,
  copyIntended,
  isFinal,
  maySend,
  timedOut,
} from "../core/command_life.ts";
import { commandRecord } from "../core/command_record.ts";
import type {
  ChangedCommand,
  CommandChange,
  CommandChangeResult,
  CommandName,
  IntendedCopy,
  RequestAnswer,
  RequestKey,
  StoredCommand,
} from "../core/command_store.ts";
import type { OutboxEntry } from "../core/outbox_entry.ts";
import type { Committed } from "../core/ports.ts";
import { secondsOf } from "../core/time.ts";
import type { CommandLimits } from "./store.ts";

/** A command's row. */
export interface CommandRow extends StoredCommand {
  /** True if the backend was told that it is sent. */
  readonly isTold: boolean;
}

/** What a row holds of a command: no payload once it is final. */
export interface CommandColumns {
  readonly command: Command;
  readonly payload: Uint8Array | undefined;
  readonly isTold: boolean;
}

/** Where commands are read and written; each call belongs inside the transaction. */
export interface CommandTable {
  row(name: CommandName): CommandRow | undefined;
  hasRequest(key: RequestKey): boolean;
  /** Kept commands that wait, of all devices or of one. */
  countWaiting(deviceId?: string): number;
  /** `acceptedSeconds` is by a clock that never steps. */
  insert(row: CommandColumns, acceptedSeconds: number): void;
  update(row: CommandColumns): void;
  /** Deletes a command, and its request with it. */
  delete(messageId: string): void;
  keepRequest(key: RequestKey, command: Command): void;
  answerRequest(messageId: string, answer: RequestAnswer): void;
  /** The device has acknowledged a command. */
  addAcknowledger(deviceId: string): void;
  /** An id that is published is remembered, as those that devices use are. */
  remember(name: CommandName, timestampSeconds: number): void;
  /** Puts an entry that tells of a state at the end of the outbox. */
  tell(entry: Omit<OutboxEntry, "sequence">): void;
}

/** The moment of a transaction. */
interface Moment {
  readonly nowSeconds: number;
  /** See `OutboxEntry.acceptedMs`. */
  readonly acceptedMs: number;
}

/** The changes in one transaction. */
export class CommandChanges {
  /** Each command that has changed. */
  readonly changed: ChangedCommand[] = [];
  readonly #table: CommandTable;
  readonly #limits: CommandLimits;
  readonly #moment: Moment;

  constructor(table: CommandTable, limits: CommandLimits, moment: Moment) {
    this.#table = table;
    this.#limits = limits;
    this.#moment = moment;
  }

  /** Makes one change. */
  change(change: CommandChange): CommandChangeResult {
    if (change.kind === "accept") return this.#accept(change);
    const row = this.#table.row(change.name);
    if (row === undefined) return { kind: "unknown" };
    const { command } = row;
    switch (change.kind) {
      case "send":
        if (!maySend(command, this.#moment.nowSeconds)) return { kind: "unchanged", command };
        this.#remember(change.name, change.copy);
        return this.#write(row, copyIntended(command, change.copy.nowSeconds));
      case "conclude":
        return this.#conclude(row, change);
      case "cancel":
        return this.#write(row, cancelled(command));
      case "forget":
        this.#table.delete(command.messageId);
        return { kind: "changed", command };
      default:
        return change satisfies never;
    }
  }

  /** Takes a device's acknowledgement of one of its commands, if it is of one. */
  acknowledge(
    { identity, messageId, acknowledgement }: SignedAcknowledgement,
  ): Extract<Committed, { kind: "acknowledged" | "acknowledgement_unmatched" }> {
    const row = this.#table.row({ deviceId: identity, messageId });
    if (row === undefined) return { kind: "acknowledgement_unmatched", identity, messageId };
    this.#table.addAcknowledger(identity);
    const result = this.#write(row, acknowledged(row.command, acknowledgement));
    const command = result.kind === "changed" ? result.command : row.command;
    return { kind: "acknowledged", identity, command };
  }

  /** The time of these is over. */
  timeOut(overdue: readonly CommandRow[]): void {
    for (const row of overdue) this.#write(row, timedOut(row.command));
  }

  #accept(change: CommandChange & { readonly kind: "accept" }): CommandChangeResult {
    const { payload, copy, request, answer } = change;
    const { deviceId, messageId } = change.command;
    if (request && this.#table.hasRequest(request)) return { kind: "key_used" };
    const mustWait = copy === undefined && change.command.isKept;
    if (mustWait && this.#isFull(deviceId)) return { kind: "too_many_waiting" };
    const command = copy ? copyIntended(change.command, copy.nowSeconds) : change.command;
    const acceptedSeconds = secondsOf(this.#moment.acceptedMs);
    this.#table.insert({ command, payload, isTold: false }, acceptedSeconds);
    if (copy) this.#remember(command, copy);
    if (request) this.#table.keepRequest(request, command);
    if (answer) this.#table.answerRequest(messageId, answer);
    return { kind: "changed", command };
  }

  #conclude(
    row: CommandRow,
    { outcome, answer }: CommandChange & { readonly kind: "conclude" },
  ): CommandChangeResult {
    const { deviceId, messageId, isKept } = row.command;
    const command = copyConcluded(row.command, outcome);
    const isNew = answer !== undefined && isKept;
    if (isNew && command.state === "waiting" && this.#isFull(deviceId)) {
      this.#table.delete(command.messageId);
      return { kind: "too_many_waiting" };
    }
    if (answer) this.#table.answerRequest(messageId, answer);
    return this.#write(row, command, { isSent: outcome === "queued" || outcome === "unknown" });
  }

  #isFull(deviceId: string): boolean {
    const { maxWaiting, maxWaitingPerDevice } = this.#limits;
    return this.#table.countWaiting() >= maxWaiting ||
      this.#table.countWaiting(deviceId) >= maxWaitingPerDevice;
  }

  #remember(name: CommandName, { timestampSeconds }: IntendedCopy): void {
    this.#table.remember(name, timestampSeconds);
  }

  /** Writes what a change has made of a command; `isSent`: a copy has left. */
  #write(row: CommandRow, command: Command, { isSent = false } = {}): CommandChangeResult {
    const before = row.command;
    const { state } = command;
    const isTold = row.isTold || isSent || state !== "sent" && state !== "waiting";
    if (command === before && isTold === row.isTold) return { kind: "unchanged", command };
    const isNews = state !== "waiting" && isTold && (state !== before.state || !row.isTold);
    const payload = isFinal(command) ? undefined : row.payload;
    this.#table.update({ command, payload, isTold });
    this.changed.push({ command, isNews });
    if (isNews && this.#limits.callbackPath !== undefined) this.#tell(command);
    return { kind: "changed", command };
  }

  #tell(command: Command): void {
    const { deviceId, messageId, state } = command;
    const { nowSeconds, acceptedMs } = this.#moment;
    this.#table.tell({
      ...{ deviceId, messageId, timestamp: String(nowSeconds), acceptedMs },
      payload: commandRecord(command),
      commandState: state,
    });
  }
}
