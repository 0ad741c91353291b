/**
 * The commands of one batch: what its changes need is read at once, changed in memory, and written at
 * once; see command_changes.ts.
 */

import type { SignedAcknowledgement } from "../../core/admission.ts";
import type { Command } from "../../core/command_life.ts";
import type {
  CommandChange,
  CommandName,
  RequestAnswer,
  RequestKey,
} from "../../core/command_store.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import type { CommandColumns, CommandRow, CommandTable } from "../command_changes.ts";
import { commandRowOf } from "../stored_command.ts";
import type { Query } from "./connection.ts";
import { CHANNEL } from "./sql_parts.ts";

/** Most commands that end in one transaction. */
export const OVERDUE_MAX = 64;

/** What a batch is about. */
interface BatchNames {
  readonly changes: readonly CommandChange[];
  readonly acknowledgements: readonly SignedAcknowledgement[];
  /** Those are read whose time is over then, Unix seconds; undefined: none. */
  readonly overdueSeconds: number | undefined;
}

/** What is done to rows. */
interface Writes {
  readonly changed: Map<string, CommandColumns>;
  /** By message id: when it was accepted, seconds of the steady clock. */
  readonly added: Map<string, number>;
  readonly deleted: Set<string>;
  readonly requests: { readonly key: RequestKey; readonly command: Command }[];
  readonly answers: Map<string, RequestAnswer>;
  readonly acknowledgers: Set<string>;
}

/** The rows. */
export class CommandBatch implements CommandTable {
  readonly overdue: readonly CommandRow[];
  readonly #rows: Map<string, CommandRow>;
  readonly #requests: Set<string>;
  readonly #waiting: Map<string, number>;
  readonly #hooks: Pick<CommandTable, "remember" | "tell">;
  readonly #writes: Writes = {
    ...{ changed: new Map(), added: new Map(), deleted: new Set() },
    ...{ requests: [], answers: new Map(), acknowledgers: new Set() },
  };

  private constructor(
    read: {
      readonly rows: readonly CommandRow[];
      readonly overdue: readonly CommandRow[];
      readonly requests: Set<string>;
      readonly waiting: Map<string, number>;
    },
    hooks: Pick<CommandTable, "remember" | "tell">,
  ) {
    this.overdue = read.overdue;
    this.#rows = new Map([...read.overdue, ...read.rows].map((row) => [nameOf(row.command), row]));
    this.#requests = read.requests;
    this.#waiting = read.waiting;
    this.#hooks = hooks;
  }

  /** Reads what a batch needs, and locks it. */
  static async read(
    query: Query,
    { changes, acknowledgements, overdueSeconds }: BatchNames,
    hooks: Pick<CommandTable, "remember" | "tell">,
  ): Promise<CommandBatch> {
    const ids = [
      ...changes.flatMap((change) => change.kind === "accept" ? [] : change.name.messageId),
      ...acknowledgements.map(({ messageId }) => messageId),
    ].map((id) => id.toLowerCase());
    const keys = changes.flatMap((change) => change.kind === "accept" ? change.request ?? [] : []);
    const isCounted = changes.some(({ kind }) => kind === "accept" || kind === "conclude");
    const rows = ids.length === 0 ? [] : await query(
      "SELECT * FROM commands WHERE message_id = ANY ($1) ORDER BY number FOR UPDATE",
      [ids],
    );
    const overdue = overdueSeconds === undefined ? [] : await query(
      `SELECT * FROM commands WHERE payload IS NOT NULL AND expires <= $1
       ORDER BY expires LIMIT ${OVERDUE_MAX} FOR UPDATE SKIP LOCKED`,
      [overdueSeconds],
    );
    const requests = keys.length === 0 ? [] : await query(
      `SELECT key_name, idempotency_key FROM command_requests
       WHERE (key_name, idempotency_key) IN (SELECT unnest($1::text[]), unnest($2::text[]))`,
      [keys.map(({ keyName }) => keyName), keys.map(({ key }) => key)],
    );
    const waiting = !isCounted ? [] : await query(
      `SELECT device_id, count(*) AS n FROM commands
       WHERE state = 'waiting' AND is_kept GROUP BY device_id`,
    );
    return new CommandBatch({
      rows: rows.map(commandRowOf),
      overdue: overdue.map(commandRowOf),
      requests: new Set(requests.map((row) => `${row["key_name"]} ${row["idempotency_key"]}`)),
      waiting: new Map(waiting.map((row) => [row["device_id"] as string, row["n"] as number])),
    }, hooks);
  }

  row({ deviceId, messageId }: CommandName): CommandRow | undefined {
    return this.#rows.get(nameOf({ deviceId, messageId: messageId.toLowerCase() }));
  }

  hasRequest({ keyName, key }: RequestKey): boolean {
    return this.#requests.has(`${keyName} ${key}`);
  }

  countWaiting(deviceId?: string): number {
    if (deviceId !== undefined) return this.#waiting.get(deviceId) ?? 0;
    return [...this.#waiting.values()].reduce((sum, count) => sum + count, 0);
  }

  insert(row: CommandColumns, acceptedSeconds: number): void {
    this.#writes.added.set(row.command.messageId, acceptedSeconds);
    this.#keep(row);
  }

  update(row: CommandColumns): void {
    this.#keep(row);
  }

  delete(messageId: string): void {
    const { changed, added, deleted, requests, answers } = this.#writes;
    const before = [...this.#rows.values()].find(({ command }) => command.messageId === messageId);
    if (before) {
      this.#count(before.command, -1);
      this.#rows.delete(nameOf(before.command));
    }
    changed.delete(messageId);
    answers.delete(messageId);
    const kept = requests.filter(({ command }) => command.messageId !== messageId);
    requests.splice(0, requests.length, ...kept);
    if (!added.delete(messageId)) deleted.add(messageId);
  }

  keepRequest(key: RequestKey, command: Command): void {
    this.#requests.add(`${key.keyName} ${key.key}`);
    this.#writes.requests.push({ key, command });
  }

  answerRequest(messageId: string, answer: RequestAnswer): void {
    this.#writes.answers.set(messageId, answer);
  }

  addAcknowledger(deviceId: string): void {
    this.#writes.acknowledgers.add(deviceId);
  }

  remember(name: CommandName, timestampSeconds: number): void {
    this.#hooks.remember(name, timestampSeconds);
  }

  tell(entry: Omit<OutboxEntry, "sequence">): void {
    this.#hooks.tell(entry);
  }

  /** Writes what has changed; `node` is the one that takes new commands. */
  async write(query: Query, node: string): Promise<void> {
    const { changed, added, deleted, requests, answers, acknowledgers } = this.#writes;
    if (deleted.size > 0) {
      await query("DELETE FROM commands WHERE message_id = ANY ($1)", [[...deleted]]);
      await query("DELETE FROM command_requests WHERE message_id = ANY ($1)", [[...deleted]]);
    }
    const isNew = ({ command }: CommandColumns) => added.has(command.messageId);
    const rows = [...changed.values()];
    const inserted = rows.filter(isNew).map((row) => ({
      ...columnsOf(row),
      accepted_steady: added.get(row.command.messageId),
      node,
    }));
    const updated = rows.filter((row) => !isNew(row)).map(columnsOf);
    if (inserted.length > 0) await query(INSERT, [JSON.stringify(inserted)]);
    if (updated.length > 0) await query(UPDATE, [JSON.stringify(updated)]);
    for (const { key: { keyName, key, digest }, command } of requests) {
      const { deviceId, messageId, createdSeconds } = command;
      await query("INSERT INTO command_requests VALUES ($1, $2, $3, $4, $5, $6, false)", [
        ...[keyName, key, digest, deviceId, messageId, createdSeconds],
      ]);
    }
    for (const [messageId, { timestampSeconds, delivery }] of answers) {
      await query(
        `UPDATE command_requests SET answered = true, timestamp = $2, delivery = $3
         WHERE message_id = $1`,
        [messageId, timestampSeconds, delivery ?? null],
      );
    }
    if (changed.size > 0) {
      await query(
        `SELECT pg_notify('${CHANNEL}', jsonb_build_object('changed', id, 'node', $2::text)::text)
         FROM unnest($1::text[]) AS id WHERE (SELECT count(*) > 1 FROM nodes)`,
        [[...changed.keys()], node],
      );
    }
    if (acknowledgers.size > 0) {
      await query(
        `INSERT INTO command_acknowledgers SELECT unnest($1::text[]) ORDER BY 1
         ON CONFLICT DO NOTHING`,
        [[...acknowledgers]],
      );
    }
  }

  #keep(row: CommandColumns): void {
    const { command } = row;
    const before = this.#rows.get(nameOf(command));
    if (before) this.#count(before.command, -1);
    this.#count(command, 1);
    this.#rows.set(nameOf(command), { ...row, payload: row.payload ?? new Uint8Array() });
    this.#writes.changed.set(command.messageId, row);
  }

  #count({ deviceId, state, isKept }: Command, step: 1 | -1): void {
    if (state !== "waiting" || !isKept) return;
    this.#waiting.set(deviceId, (this.#waiting.get(deviceId) ?? 0) + step);
  }
}

function nameOf({ deviceId, messageId }: CommandName): string {
  return `${messageId} ${deviceId}`;
}

/** The columns that change, and how each is read from JSON. */
const CHANGING = [
  ...["state text", "delivery text", "sends bigint", "copies bigint", "last_sent bigint"],
  ...["withdrawn boolean", "is_told boolean", "ack_state text", "ack_received bigint"],
  ...["ack_timestamp text", "ack_payload text", "payload text"],
];

/** The columns of a new command besides. */
const GIVEN = [
  ...["node text", "message_id text", "device_id text", "key_name text", "created bigint"],
  ...["expires bigint", "is_kept boolean", "accepted_steady bigint"],
];

const BYTES = new Set(["ack_payload", "payload"]);
const INSERT = `
  INSERT INTO commands (${namesOf([...CHANGING, ...GIVEN])}, expires_asked)
  SELECT ${namesOf([...CHANGING, ...GIVEN]).map(valueOf)}, c.expires
  FROM jsonb_to_recordset($1::jsonb) AS c(${[...CHANGING, ...GIVEN]})`;

const UPDATE = `
  UPDATE commands SET ${namesOf(CHANGING).map((name) => `${name} = ${valueOf(name)}`)}
  FROM jsonb_to_recordset($1::jsonb) AS c(${["message_id text", ...CHANGING]})
  WHERE commands.message_id = c.message_id`;

function columnsOf({ command, payload, isTold }: CommandColumns) {
  const { acknowledgement } = command;
  return {
    ...{ message_id: command.messageId, device_id: command.deviceId, key_name: command.keyName },
    ...{ created: command.createdSeconds, expires: command.expiresSeconds },
    ...{ is_kept: command.isKept, state: command.state, delivery: command.delivery ?? null },
    ...{ sends: command.sends, copies: command.copies, withdrawn: command.withdrawn },
    ...{ last_sent: command.lastSentSeconds ?? null, is_told: isTold },
    ack_state: acknowledgement?.state ?? null,
    ack_received: acknowledgement?.receivedSeconds ?? null,
    ack_timestamp: acknowledgement?.timestamp ?? null,
    ack_payload: acknowledgement ? acknowledgement.payload.toBase64() : null,
    payload: payload ? payload.toBase64() : null,
  };
}

function namesOf(columns: readonly string[]): string[] {
  return columns.map((column) => column.split(" ")[0]!);
}

function valueOf(name: string): string {
  return BYTES.has(name) ? `decode(c.${name}, 'base64')` : `c.${name}`;
}
