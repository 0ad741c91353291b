/** The commands in a database, as the gateway's transactions change them; see command_changes.ts. */

import type { StatementSync } from "node:sqlite";
import type { Command } from "../../core/command_life.ts";
import type {
  ChangedCommand,
  CommandName,
  RequestAnswer,
  RequestKey,
} from "../../core/command_store.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { secondsOf } from "../../core/time.ts";
import {
  CommandChanges,
  type CommandColumns,
  type CommandRow,
  type CommandTable,
} from "../command_changes.ts";
import type { CommandLimits } from "../store.ts";
import { commandRowOf } from "../stored_command.ts";
import { CommandRows } from "./command_rows.ts";
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

/** What the changes in one transaction have done. */
export interface CommandsDone {
  readonly changed: readonly ChangedCommand[];
  readonly callbacks: readonly OutboxEntry[];
}

/** Writes commands; one transaction begins with `begin`. */
export class Commands implements CommandTable {
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
  #callbacks: OutboxEntry[] = [];

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

  /** A transaction begins: what is done in it is in what this returns. */
  begin(moment: { readonly nowSeconds: number; readonly acceptedMs: number }): {
    readonly changes: CommandChanges;
    readonly done: CommandsDone;
  } {
    this.#callbacks = [];
    const changes = new CommandChanges(this, this.#limits, moment);
    return { changes, done: { changed: changes.changed, callbacks: this.#callbacks } };
  }

  /** The wall clock has stepped: the clock that never does is ahead of it by so much now. */
  clockStepped(steadyOffsetMs: number): void {
    this.#moveEnds.run(secondsOf(steadyOffsetMs));
  }

  /** Ends what is over and deletes what is old, by `AgeClock`; true if there may be more. */
  tidy(changes: CommandChanges, { nowSeconds, ageMs }: { nowSeconds: number; ageMs: number }) {
    const ageSeconds = secondsOf(ageMs);
    const overdue = this.#overdue.all(nowSeconds).map(commandRowOf);
    changes.timeOut(overdue);
    const deleted = [
      this.#deleteOld.run(ageSeconds - secondsOf(this.#limits.keepMs)).changes,
      this.#deleteOldRequests.run(ageSeconds - secondsOf(this.#limits.keepKeysMs)).changes,
    ];
    return overdue.length === TIDY_MAX || deleted.some((count) => Number(count) === TIDY_MAX);
  }

  row(name: CommandName): CommandRow | undefined {
    return this.#rows.row(name);
  }

  hasRequest(key: RequestKey): boolean {
    return this.#rows.request(key) !== undefined;
  }

  countWaiting(deviceId?: string): number {
    const row = deviceId === undefined
      ? this.#countWaiting.get()
      : this.#countWaitingOf.get(deviceId);
    return row!["n"] as number;
  }

  insert(row: CommandColumns, acceptedSeconds: number): void {
    const { messageId, deviceId, keyName, createdSeconds, expiresSeconds, isKept } = row.command;
    this.#insert.run(
      ...changing(row),
      ...[messageId, deviceId, keyName, createdSeconds, expiresSeconds],
      ...[isKept ? 1 : 0, expiresSeconds, acceptedSeconds],
    );
  }

  update(row: CommandColumns): void {
    this.#update.run(...changing(row), row.command.messageId);
  }

  delete(messageId: string): void {
    this.#delete.run(messageId);
    this.#deleteRequest.run(messageId);
  }

  keepRequest({ keyName, key, digest }: RequestKey, command: Command): void {
    const { deviceId, messageId, createdSeconds } = command;
    this.#insertRequest.run(keyName, key, digest, deviceId, messageId, createdSeconds);
  }

  answerRequest(messageId: string, { timestampSeconds, delivery }: RequestAnswer): void {
    this.#answerRequest.run(timestampSeconds, delivery ?? null, messageId);
  }

  addAcknowledger(deviceId: string): void {
    this.#addAcknowledger.run(deviceId);
  }

  remember({ deviceId, messageId }: CommandName, timestampSeconds: number): void {
    this.#parts.replayGuard.remember(deviceId, messageId, timestampSeconds);
  }

  tell(entry: Omit<OutboxEntry, "sequence">): void {
    this.#callbacks.push(this.#parts.outbox.append(entry));
  }
}

/** The columns that change, in the order of the statements. */
function changing({ command, payload, isTold }: CommandColumns) {
  const { state, delivery, sends, copies, lastSentSeconds, withdrawn, acknowledgement } = command;
  return [
    ...[state, delivery ?? null, sends, copies, lastSentSeconds ?? null, withdrawn ? 1 : 0],
    ...[isTold ? 1 : 0, acknowledgement?.state ?? null, acknowledgement?.receivedSeconds ?? null],
    ...[acknowledgement?.timestamp ?? null, acknowledgement?.payload ?? null, payload ?? null],
  ];
}
