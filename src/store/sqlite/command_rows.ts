/** Commands as rows: what is read, and what one row holds. */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { Command, CommandState } from "../../core/command_life.ts";
import type {
  CommandName,
  CommandSelection,
  KeptRequest,
  RequestKey,
  StoredCommand,
} from "../../core/command_store.ts";
import type { CommandRow } from "../command_changes.ts";
import { type CommandPart, LOOKED_THROUGH_MAX, type NewestCommands } from "../commands.ts";
import { commandRowOf, requestOf, UNACKNOWLEDGED_MAX } from "../stored_command.ts";
import type { Database } from "./database.ts";

/** Most commands that are read at one time: the gateway is held up for a moment only. */
const PAGE_MAX = 256;

/** What a list asks for. */
const SELECTED = `(? IS NULL OR state = ?)
  AND number > coalesce((SELECT number FROM commands WHERE message_id = ?), 0)`;

/** Reads commands, each at once. */
export class CommandRows {
  readonly #find: StatementSync;
  readonly #list: StatementSync;
  readonly #listOfDevice: StatementSync;
  readonly #nextWaiting: StatementSync;
  readonly #unacknowledged: StatementSync;
  readonly #request: StatementSync;
  readonly #hasAcknowledged: StatementSync;
  readonly #devices: StatementSync;
  readonly #byMessage: StatementSync;
  readonly #unconcluded: StatementSync;
  readonly #page: StatementSync;
  readonly #last: StatementSync;
  readonly #newest: StatementSync;
  readonly #newestOfOne: StatementSync;

  constructor(database: Database) {
    this.#find = database.prepare("SELECT * FROM commands WHERE message_id = ? AND device_id = ?");
    this.#byMessage = database.prepare("SELECT * FROM commands WHERE message_id = ?");
    this.#list = database.prepare(`
      SELECT * FROM commands WHERE ${SELECTED} ORDER BY number LIMIT ?`);
    this.#listOfDevice = database.prepare(`
      SELECT * FROM commands WHERE ${SELECTED} AND device_id = ? ORDER BY number LIMIT ?`);
    this.#page = database.prepare(`
      SELECT * FROM commands WHERE number > ? AND (? IS NULL OR device_id = ?)
        AND (? IS NULL OR state = ?) ORDER BY number LIMIT ${PAGE_MAX}`);
    this.#last = database.prepare("SELECT max(number) AS n FROM commands");
    this.#newest = database.prepare(`
      SELECT * FROM commands WHERE number < ? AND number >= ? AND (? IS NULL OR state = ?)
      ORDER BY number DESC LIMIT ?`);
    this.#newestOfOne = database.prepare(`
      SELECT * FROM commands WHERE device_id = ? AND number < ? AND number >= ?
        AND (? IS NULL OR state = ?) ORDER BY number DESC LIMIT ?`);
    this.#nextWaiting = database.prepare(`
      SELECT * FROM commands WHERE device_id = ? AND state = 'waiting' AND payload IS NOT NULL
        AND is_kept = 1 AND expires > ? ORDER BY number LIMIT 1`);
    this.#unacknowledged = database.prepare(`
      SELECT * FROM commands WHERE device_id = ? AND state = 'sent' AND payload IS NOT NULL
        AND is_kept = 1 AND withdrawn = 0 AND expires > ?
      ORDER BY last_sent, number LIMIT ${UNACKNOWLEDGED_MAX}`);
    this.#request = database.prepare(
      "SELECT * FROM command_requests WHERE key_name = ? AND idempotency_key = ?",
    );
    this.#hasAcknowledged = database.prepare(
      "SELECT 1 FROM command_acknowledgers WHERE device_id = ?",
    );
    this.#unconcluded = database.prepare(`
      SELECT device_id, message_id FROM commands
      WHERE payload IS NOT NULL AND state = 'sent' AND is_told = 0 ORDER BY number`);
    this.#devices = database.prepare(`
      SELECT DISTINCT device_id FROM commands INDEXED BY commands_sendable
      WHERE payload IS NOT NULL AND is_kept = 1 AND state IN ('waiting', 'sent')`);
  }

  /** A device's command. */
  find(name: CommandName): Command | undefined {
    return this.row(name)?.command;
  }

  /** The command of a message_id, in any case. */
  findByMessage(messageId: string): Command | undefined {
    const row = this.#byMessage.get(messageId.toLowerCase());
    return row && commandRowOf(row).command;
  }

  /** A device's command with all that its row has. */
  row({ deviceId, messageId }: CommandName): CommandRow | undefined {
    const row = this.#find.get(messageId.toLowerCase(), deviceId);
    return row && commandRowOf(row);
  }

  /** Commands of a device, or of all, in the order of acceptance. */
  list(deviceId: string | undefined, { state, after, limit }: CommandSelection): Command[] {
    const selected = [state ?? null, state ?? null, after?.toLowerCase() ?? null];
    const rows = deviceId === undefined
      ? this.#list.all(...selected, limit)
      : this.#listOfDevice.all(...selected, deviceId, limit);
    return rows.map((row) => commandRowOf(row).command);
  }

  /** Those that are there now, in the order of acceptance. */
  *all(which: { readonly deviceId?: string; readonly state?: CommandState }): Generator<Command> {
    const [device, state] = [which.deviceId ?? null, which.state ?? null];
    let page: Record<string, SQLOutputValue>[] = [];
    let number = 0;
    do {
      page = this.#page.all(number, device, device, state, state);
      for (const row of page) yield commandRowOf(row).command;
      number = page.at(-1)?.["number"] as number ?? number;
    } while (page.length === PAGE_MAX);
  }

  /** Some of them, the newest first; of each device apart, so that an index has them. */
  newest({ deviceIds, state, before, limit }: NewestCommands): CommandPart {
    const end = before ?? ((this.#last.get()!["n"] ?? 0) as number) + 1;
    const from = Math.max(1, end - LOOKED_THROUGH_MAX);
    const which = [end, from, state ?? null, state ?? null, limit] as const;
    const rows = deviceIds === undefined
      ? this.#newest.all(...which)
      : deviceIds.flatMap((deviceId) => this.#newestOfOne.all(deviceId, ...which));
    const numberOf = (row: Record<string, SQLOutputValue>) => row["number"] as number;
    const part = rows.toSorted((one, other) => numberOf(other) - numberOf(one)).slice(0, limit);
    const next = part.length === limit ? numberOf(part.at(-1)!) : from;
    return {
      commands: part.map((row) => commandRowOf(row).command),
      next: next > 1 ? next : undefined,
    };
  }

  /** The first that waits for the device. */
  nextWaiting(deviceId: string, nowSeconds: number): StoredCommand | undefined {
    const row = this.#nextWaiting.get(deviceId, nowSeconds);
    return row && commandRowOf(row);
  }

  /** Those that may have to be sent again, the one whose last copy is the oldest first. */
  unacknowledged(deviceId: string, nowSeconds: number): StoredCommand[] {
    return this.#unacknowledged.all(deviceId, nowSeconds).map(commandRowOf);
  }

  /** The request that was made with a key. */
  request({ keyName, key }: Pick<RequestKey, "keyName" | "key">): KeptRequest | undefined {
    const row = this.#request.get(keyName, key);
    return row && requestOf(row);
  }

  /** True if the device has ever acknowledged a command. */
  hasAcknowledged(deviceId: string): boolean {
    return this.#hasAcknowledged.get(deviceId) !== undefined;
  }

  /** Commands with a copy that may or may not have reached the broker. */
  unconcluded(): CommandName[] {
    return this.#unconcluded.all().map((row) => ({
      deviceId: row["device_id"] as string,
      messageId: row["message_id"] as string,
    }));
  }

  /** The devices that have a kept command which waits or was sent. */
  devices(): string[] {
    return this.#devices.all().map((row) => row["device_id"] as string);
  }
}
