/** The gateways that share the store: their leases, and taking over what one has left. */

import type { CopyOutcome } from "../../core/command_life.ts";
import type { Mail, NodeListener, NodeStore } from "../../core/ports.ts";
import { StoreLostError } from "../store_error.ts";
import type { PostgresPlace } from "../store_place.ts";
import { type Connection, sqlState } from "./connection.ts";
import { AT_WORK } from "./node_functions.ts";
import { Listener } from "./listener.ts";
import { MAIL_COLUMNS, storedProperties, takenMailOf } from "./mail_rows.ts";
import { CHANNEL, FENCED } from "./sql_parts.ts";

/** How long mail is kept that has no time of its own, seconds. */
const KEPT_SECONDS = 3_600;

/** Most mail that is taken at one time. */
const MAIL_MAX = 64;

/** The nodes, as one of them sees them. */
export class PostgresNodes implements NodeStore {
  readonly #place: PostgresPlace;
  readonly #connection: Connection;
  readonly #node: string;
  readonly #begun: () => Promise<{ readonly epoch: number }>;

  constructor(
    place: PostgresPlace,
    connection: Connection,
    begun: () => Promise<{ readonly epoch: number }>,
  ) {
    this.#place = place;
    this.#connection = connection;
    this.#node = place.node;
    this.#begun = begun;
  }

  async renewLease({ leaseMs, wallMs }: Parameters<NodeStore["renewLease"]>[0]) {
    const { epoch } = await this.#begun();
    return await this.#ask<Awaited<ReturnType<NodeStore["renewLease"]>>>(
      "SELECT renew_lease($1, $2, $3, $4) AS answer",
      [this.#node, epoch, leaseMs, Math.round(wallMs)],
    );
  }

  async adopt(node: string): ReturnType<NodeStore["adopt"]> {
    const { epoch } = await this.#begun();
    try {
      return await this.#ask("SELECT adopt($1, $2, $3) AS answer", [this.#node, epoch, node]);
    } catch (error) {
      if (sqlState(error) === AT_WORK) return undefined;
      throw error;
    }
  }

  listen(listener: NodeListener): { close(): Promise<void> } {
    return new Listener(this.#place, this.#node, listener);
  }

  async devicesElsewhere(): Promise<ReadonlyMap<string, string>> {
    const rows = await this.#connection.query(
      `SELECT p.device_id, p.node FROM presence p JOIN devices d USING (device_id)
       WHERE p.node <> $1`,
      [this.#node],
    );
    return new Map(rows.map((row) => [row["device_id"] as string, row["node"] as string]));
  }

  async post({ node, deviceId, topic, body, properties, isAwaited }: Mail): Promise<number> {
    const { messageExpiryInterval = KEPT_SECONDS } = properties;
    const [row] = await this.#connection.query(
      `WITH posted AS (
         INSERT INTO mail (node, sender, device_id, topic, body, properties, is_awaited, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8 * interval '1 second') RETURNING number
       ) SELECT number, pg_notify('${CHANNEL}', jsonb_build_object('mail', $1::text)::text)
       FROM posted`,
      [
        ...[node, this.#node, deviceId, topic, body, storedProperties(properties), isAwaited],
        messageExpiryInterval,
      ],
    );
    return row!["number"] as number;
  }

  async takeMail(): ReturnType<NodeStore["takeMail"]> {
    const rows = await this.#connection.query(
      `WITH gone AS (DELETE FROM mail WHERE expires_at < now())
       UPDATE mail SET is_taken = true WHERE number IN (
         SELECT number FROM mail WHERE node = $1 AND NOT is_taken AND expires_at >= now()
         ORDER BY number LIMIT ${MAIL_MAX} FOR UPDATE SKIP LOCKED)
       RETURNING ${MAIL_COLUMNS}`,
      [this.#node],
    );
    return rows.map(takenMailOf).sort((one, other) => one.number - other.number);
  }

  async concludeMail(number: number, outcome: CopyOutcome): Promise<void> {
    await this.#connection.query(
      `WITH done AS (
         UPDATE mail SET outcome = $2 WHERE number = $1 AND is_awaited RETURNING number, sender
       ), gone AS (DELETE FROM mail WHERE number = $1 AND NOT is_awaited)
       SELECT pg_notify('${CHANNEL}',
         jsonb_build_object('concluded', number, 'node', sender)::text) FROM done`,
      [number, outcome],
    );
  }

  async endMail(number: number): Promise<CopyOutcome> {
    const [row] = await this.#connection.query(
      "DELETE FROM mail WHERE number = $1 RETURNING is_taken, outcome",
      [number],
    );
    if (row === undefined) return "unknown";
    return (row["outcome"] ?? (row["is_taken"] === true ? "unknown" : "unsent")) as CopyOutcome;
  }

  async #ask<T>(text: string, values: readonly unknown[]): Promise<T> {
    try {
      const [row] = await this.#connection.query(text, values);
      return row!["answer"] as T;
    } catch (error) {
      if (sqlState(error) === FENCED) throw new StoreLostError((error as Error).message);
      throw error;
    }
  }
}
