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

import type { StatementSync } from "node:sqlite";
import {
  acknowledged,
  type Acknowledgement,
  cancelled,
  type Command,
  copyConcluded,
  copyIntended,
  isFinal,
  maySend,
  timedOut,
} from "../../core/command_life.ts";
import { commandRecord } from "../../core/command_record.ts";
import type {
  ChangedCommand,
  CommandChange,
  CommandChangeResult,
  CommandName,
  IntendedCopy,
  RequestAnswer,
  RequestKey,
} from "../../core/command_store.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { secondsOf } from "../../core/time.ts";
import type { CommandLimits } from "../store.ts";
import { type CommandRow, CommandRows, rowOf } from "./command_rows.ts";
import type { Database } from "./database.ts";
import type { Outbox } from "./outbox.ts";
import type { ReplayGuard } from "./replay_guard.ts";

/** Most commands that end, and most rows that are deleted, in one transaction. */
const TIDY_MAX = 64;

/** What commands are written beside. */
interface CommandParts {
  readonly outbox: Outbox;
  readonly replayGuard: ReplayGuard;
}

/** The moment of a transaction. */
interface Moment {
  readonly nowSeconds: number;
  /** See `OutboxEntry.acceptedMs`. */
  readonly acceptedMs: number;
}

/** What the changes in one transaction have done. */
export interface CommandsDone {
  readonly changed: ChangedCommand[];
  readonly callbacks: OutboxEntry[];
}

/** Writes commands; one transaction begins with `begin`. */
export class Commands {
  readonly #parts: CommandParts;
  readonly #limits: CommandLimits;
  readonly #rows: CommandRows;
  readonly #insert: StatementSync;
  readonly #update: StatementSync;
  readonly #delete: StatementSync;
  readonly #countWaiting: StatementSync;
  readonly #countWaitingOf: StatementSync;
  readonly #insertRequest: StatementSync;
  readonly #answerRequest: StatementSync;
  readonly #deleteRequest: StatementSync;
  readonly #addAcknowledger: StatementSync;
  readonly #overdue: StatementSync;
  readonly #moveEnds: StatementSync;
  readonly #deleteOld: StatementSync;
  readonly #deleteOldRequests: StatementSync;
  #moment: Moment = { nowSeconds: 0, acceptedMs: 0 };
  #done: CommandsDone = { changed: [], callbacks: [] };

  constructor(database: Database, parts: CommandParts, limits: CommandLimits) {
    this.#parts = parts;
    this.#limits = limits;
    this.#rows = new CommandRows(database);
    this.#insert = database.prepare(`
      INSERT INTO commands (state, delivery, sends, copies, last_sent, withdrawn, is_told, ack_state,
        ack_received, ack_timestamp, ack_payload, payload, message_id, device_id, key_name, created,
        expires, is_kept, expires_asked, accepted_steady)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`);
    this.#update = database.prepare(`
      UPDATE commands SET state = ?, delivery = ?, sends = ?, copies = ?, last_sent = ?,
        withdrawn = ?, is_told = ?, ack_state = ?, ack_received = ?, ack_timestamp = ?,
        ack_payload = ?, payload = ? WHERE message_id = ?`);
    this.#delete = database.prepare("DELETE FROM commands WHERE message_id = ?");
    this.#countWaiting = database.prepare(
      "SELECT count(*) AS n FROM commands WHERE state = 'waiting' AND is_kept = 1",
    );
    this.#countWaitingOf = database.prepare(`
      SELECT count(*) AS n FROM commands
      WHERE state = 'waiting' AND is_kept = 1 AND device_id = ?`);
    this.#insertRequest = database.prepare(`
      INSERT INTO command_requests VALUES (?, ?, ?, ?, ?, ?, 0, NULL, NULL)`);
    this.#answerRequest = database.prepare(`
      UPDATE command_requests SET answered = 1, timestamp = ?, delivery = ? WHERE message_id = ?`);
    this.#deleteRequest = database.prepare("DELETE FROM command_requests WHERE message_id = ?");
    this.#addAcknowledger = database.prepare(
      "INSERT OR IGNORE INTO command_acknowledgers VALUES (?)",
    );
    this.#overdue = database.prepare(`
      SELECT * FROM commands WHERE payload IS NOT NULL AND expires <= ?
      ORDER BY expires LIMIT ${TIDY_MAX}`);
    this.#moveEnds = database.prepare(`
      UPDATE commands
      SET expires = min(expires_asked, accepted_steady + expires_asked - created - ?)
      WHERE payload IS NOT NULL AND accepted_steady IS NOT NULL`);
    this.#deleteOld = database.prepare(`
      DELETE FROM commands WHERE number IN (
        SELECT number FROM commands WHERE payload IS NULL AND expires < ? LIMIT ${TIDY_MAX})`);
    this.#deleteOldRequests = database.prepare(`
      DELETE FROM command_requests WHERE (key_name, idempotency_key) IN (
        SELECT key_name, idempotency_key FROM command_requests WHERE created < ?
        LIMIT ${TIDY_MAX})`);
  }

  /** A transaction begins; what is done until the next is in what this returns. */
  begin(moment: Moment): CommandsDone {
    this.#moment = moment;
    return this.#done = { changed: [], callbacks: [] };
  }

  /** The wall clock has stepped: the clock that never does is ahead of it by so much now. */
  clockStepped(steadyOffsetMs: number): void {
    this.#moveEnds.run(secondsOf(steadyOffsetMs));
  }

  /** Makes one change. */
  change(change: CommandChange): CommandChangeResult {
    if (change.kind === "accept") return this.#accept(change);
    const row = this.#rows.row(change.name);
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
        this.#forget(command);
        return { kind: "changed", command };
      default:
        return change satisfies never;
    }
  }

  /** Takes a device's acknowledgement of one of its commands; undefined if it is of none. */
  acknowledge(name: CommandName, acknowledgement: Acknowledgement): Command | undefined {
    const row = this.#rows.row(name);
    if (row === undefined) return undefined;
    this.#addAcknowledger.run(name.deviceId);
    const result = this.#write(row, acknowledged(row.command, acknowledgement));
    return result.kind === "changed" ? result.command : row.command;
  }

  /** Ends what is over and deletes what is old, by `AgeClock`; true if there may be more. */
  tidy(ageMs: number): boolean {
    const { nowSeconds } = this.#moment;
    const ageSeconds = secondsOf(ageMs);
    const overdue = this.#overdue.all(nowSeconds).map(rowOf);
    for (const row of overdue) this.#write(row, timedOut(row.command));
    const deleted = [
      this.#deleteOld.run(ageSeconds - secondsOf(this.#limits.keepMs)).changes,
      this.#deleteOldRequests.run(ageSeconds - secondsOf(this.#limits.keepKeysMs)).changes,
    ];
    return overdue.length === TIDY_MAX || deleted.some((count) => Number(count) === TIDY_MAX);
  }

  #accept(change: CommandChange & { readonly kind: "accept" }): CommandChangeResult {
    const { payload, copy, request, answer } = change;
    const { deviceId, messageId } = change.command;
    if (request && this.#rows.request(request)) return { kind: "key_used" };
    const mustWait = copy === undefined && change.command.isKept;
    if (mustWait && this.#isFull(deviceId)) return { kind: "too_many_waiting" };
    const command = copy ? copyIntended(change.command, copy.nowSeconds) : change.command;
    this.#insert.run(
      ...changing({ command, payload, isTold: false }),
      ...[messageId, deviceId, command.keyName, command.createdSeconds, command.expiresSeconds],
      ...[command.isKept ? 1 : 0, command.expiresSeconds, secondsOf(this.#moment.acceptedMs)],
    );
    if (copy) this.#remember(command, copy);
    if (request) this.#keep(request, command);
    if (answer) this.#answer(messageId, answer);
    return { kind: "changed", command };
  }

  /** Kept commands that wait. */
  countWaiting(): number {
    return this.#countWaiting.get()!["n"] as number;
  }

  #conclude(
    row: CommandRow,
    { outcome, answer }: CommandChange & { readonly kind: "conclude" },
  ): CommandChangeResult {
    const { deviceId, messageId, isKept } = row.command;
    const command = copyConcluded(row.command, outcome);
    const isNew = answer !== undefined && isKept;
    if (isNew && command.state === "waiting" && this.#isFull(deviceId)) {
      this.#forget(command);
      return { kind: "too_many_waiting" };
    }
    if (answer) this.#answer(messageId, answer);
    return this.#write(row, command, { isSent: outcome === "queued" || outcome === "unknown" });
  }

  #forget({ messageId }: Command): void {
    this.#delete.run(messageId);
    this.#deleteRequest.run(messageId);
  }

  #isFull(deviceId: string): boolean {
    const count = this.countWaiting();
    const countOfDevice = this.#countWaitingOf.get(deviceId)!["n"] as number;
    return count >= this.#limits.maxWaiting || countOfDevice >= this.#limits.maxWaitingPerDevice;
  }

  #keep({ keyName, key, digest }: RequestKey, { deviceId, messageId, createdSeconds }: Command) {
    this.#insertRequest.run(keyName, key, digest, deviceId, messageId, createdSeconds);
  }

  #answer(messageId: string, { timestampSeconds, delivery }: RequestAnswer): void {
    this.#answerRequest.run(timestampSeconds, delivery ?? null, messageId);
  }

  #remember({ deviceId, messageId }: CommandName, { timestampSeconds }: IntendedCopy): void {
    this.#parts.replayGuard.remember(deviceId, messageId, timestampSeconds);
  }

  /** Writes what a change has made of a command; `isSent`: a copy has left. */
  #write(row: CommandRow, command: Command, { isSent = false } = {}): CommandChangeResult {
    const before = row.command;
    const { state } = command;
    const isTold = row.isTold || isSent || state !== "sent" && state !== "waiting";
    if (command === before && isTold === row.isTold) return { kind: "unchanged", command };
    const isNews = state !== "waiting" && isTold && (state !== before.state || !row.isTold);
    const payload = isFinal(command) ? undefined : row.payload;
    this.#update.run(...changing({ command, payload, isTold }), command.messageId);
    this.#done.changed.push({ command, isNews });
    if (isNews && this.#limits.callbackPath !== undefined) this.#tell(command);
    return { kind: "changed", command };
  }

  #tell(command: Command): void {
    const { deviceId, messageId, state } = command;
    const { nowSeconds, acceptedMs } = this.#moment;
    const entry = {
      ...{ deviceId, messageId, timestamp: String(nowSeconds), acceptedMs },
      payload: commandRecord(command),
      commandState: state,
    };
    this.#done.callbacks.push(this.#parts.outbox.append(entry));
  }
}

/** The columns that change, in the order of the statements. */
function changing(
  { command, payload, isTold }: {
    readonly command: Command;
    readonly payload: Uint8Array | undefined;
    readonly isTold: boolean;
  },
) {
  const { state, delivery, sends, copies, lastSentSeconds, withdrawn, acknowledgement } = command;
  return [
    ...[state, delivery ?? null, sends, copies, lastSentSeconds ?? null, withdrawn ? 1 : 0],
    ...[isTold ? 1 : 0, acknowledgement?.state ?? null, acknowledgement?.receivedSeconds ?? null],
    ...[acknowledgement?.timestamp ?? null, acknowledgement?.payload ?? null, payload ?? null],
  ];
}
