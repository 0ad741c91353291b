/** Commands as rows, for those who read them. */

import type { Command, CommandState } from "../../core/command_life.ts";
import type {
  CommandName,
  CommandSelection,
  KeptRequest,
  RequestKey,
  StoredCommand,
} from "../../core/command_store.ts";
import {
  type CommandPart,
  type CommandStore,
  LOOKED_THROUGH_MAX,
  type NewestCommands,
} from "../commands.ts";
import { commandRowOf, requestOf, UNACKNOWLEDGED_MAX } from "../stored_command.ts";
import type { Connection, Query } from "./connection.ts";
import { inPages, PAGE_MAX } from "./pages.ts";

/** The commands. */
export class PostgresCommands implements CommandStore {
  readonly #query: Query;

  constructor(connection: Connection) {
    this.#query = (text, values) => connection.query(text, values);
  }

  async find({ deviceId, messageId }: CommandName): Promise<Command | undefined> {
    const [row] = await this.#query(
      "SELECT * FROM commands WHERE message_id = $1 AND device_id = $2",
      [messageId.toLowerCase(), deviceId],
    );
    return row && commandRowOf(row).command;
  }

  async findByMessage(messageId: string): Promise<Command | undefined> {
    const [row] = await this.#query("SELECT * FROM commands WHERE message_id = $1", [
      messageId.toLowerCase(),
    ]);
    return row && commandRowOf(row).command;
  }

  async list(
    deviceId: string | undefined,
    { state, after, limit }: CommandSelection,
  ): Promise<readonly Command[]> {
    const rows = await this.#query(
      `SELECT * FROM commands WHERE ($1::text IS NULL OR device_id = $1)
         AND ($2::text IS NULL OR state = $2)
         AND number > coalesce((SELECT number FROM commands WHERE message_id = $3), 0)
       ORDER BY number LIMIT $4`,
      [deviceId ?? null, state ?? null, after?.toLowerCase() ?? null, limit],
    );
    return rows.map((row) => commandRowOf(row).command);
  }

  async *all(
    { deviceId, state }: { readonly deviceId?: string; readonly state?: CommandState },
  ): AsyncIterable<Command> {
    const rows = inPages((after) =>
      this.#query(
        `SELECT * FROM commands WHERE number > $1 AND ($2::text IS NULL OR device_id = $2)
           AND ($3::text IS NULL OR state = $3) ORDER BY number LIMIT ${PAGE_MAX}`,
        [after?.["number"] ?? 0, deviceId ?? null, state ?? null],
      )
    );
    for await (const row of rows) yield commandRowOf(row).command;
  }

  async newest({ deviceIds, state, before, limit }: NewestCommands): Promise<CommandPart> {
    const [last] = await this.#query("SELECT max(number) AS n FROM commands");
    const end = before ?? ((last!["n"] ?? 0) as number) + 1;
    const from = Math.max(1, end - LOOKED_THROUGH_MAX);
    const rows = await this.#query(
      `SELECT * FROM commands WHERE number < $1 AND number >= $2
         AND ($3::text[] IS NULL OR device_id = ANY($3)) AND ($4::text IS NULL OR state = $4)
       ORDER BY number DESC LIMIT $5`,
      [end, from, deviceIds ?? null, state ?? null, limit],
    );
    const next = rows.length === limit ? rows.at(-1)!["number"] as number : from;
    return {
      commands: rows.map((row) => commandRowOf(row).command),
      next: next > 1 ? next : undefined,
    };
  }

  async nextWaiting(deviceId: string, nowSeconds: number): Promise<StoredCommand | undefined> {
    const [row] = await this.#query(
      `SELECT * FROM commands WHERE device_id = $1 AND state = 'waiting' AND payload IS NOT NULL
         AND is_kept AND expires > $2 ORDER BY number LIMIT 1`,
      [deviceId, nowSeconds],
    );
    return row && commandRowOf(row);
  }

  async unacknowledged(deviceId: string, nowSeconds: number): Promise<readonly StoredCommand[]> {
    const rows = await this.#query(
      `SELECT * FROM commands WHERE device_id = $1 AND state = 'sent' AND payload IS NOT NULL
         AND is_kept AND NOT withdrawn AND expires > $2
       ORDER BY last_sent, number LIMIT ${UNACKNOWLEDGED_MAX}`,
      [deviceId, nowSeconds],
    );
    return rows.map(commandRowOf);
  }

  async request(
    { keyName, key }: Pick<RequestKey, "keyName" | "key">,
  ): Promise<KeptRequest | undefined> {
    const [row] = await this.#query(
      "SELECT * FROM command_requests WHERE key_name = $1 AND idempotency_key = $2",
      [keyName, key],
    );
    return row && requestOf(row);
  }

  async hasAcknowledged(deviceId: string): Promise<boolean> {
    const rows = await this.#query("SELECT 1 FROM command_acknowledgers WHERE device_id = $1", [
      deviceId,
    ]);
    return rows.length > 0;
  }

  async unconcluded(): Promise<readonly CommandName[]> {
    const rows = await this.#query(
      `SELECT device_id, message_id FROM commands
       WHERE payload IS NOT NULL AND state = 'sent' AND NOT is_told ORDER BY number`,
    );
    return rows.map((row) => ({
      deviceId: row["device_id"] as string,
      messageId: row["message_id"] as string,
    }));
  }

  async devices(): Promise<readonly string[]> {
    const rows = await this.#query(
      `SELECT DISTINCT device_id FROM commands
       WHERE payload IS NOT NULL AND is_kept AND state IN ('waiting', 'sent')`,
    );
    return rows.map((row) => row["device_id"] as string);
  }
}
