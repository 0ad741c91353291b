/** The brokers' lists on the server; see `SharedLists`. */

import {
  LISTS_MAX_CHARS,
  type ListUse,
  type PublishedLists,
  type SharedLists,
} from "../shared_lists.ts";
import type { Connection } from "./connection.ts";

/** Most characters of a signature, of a certificate and of a fault. */
const TEXT_MAX_CHARS = 16_384;

/** Most gateways whose notes are read. */
const NODES_MAX = 1_000;

/** The lists. */
export class PostgresLists implements SharedLists {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async numbers(node: string): ReturnType<SharedLists["numbers"]> {
    const [row] = await this.#connection.query(
      `SELECT (SELECT coalesce(max(number), 0) FROM broker_lists) AS newest,
         (SELECT number FROM broker_list_uses WHERE node = $1) AS used`,
      [node],
    );
    return {
      newest: row!["newest"] as number,
      used: (row!["used"] ?? undefined) as number | undefined,
    };
  }

  async newest(): Promise<PublishedLists | undefined> {
    // What is cut off verifies no longer.
    const [row] = await this.#connection.query(
      `SELECT number, left(content, ${LISTS_MAX_CHARS}) AS content,
         left(signatures, ${TEXT_MAX_CHARS}) AS signatures
       FROM broker_lists ORDER BY number DESC LIMIT 1`,
    );
    return row as unknown as PublishedLists | undefined;
  }

  async publish(
    { number, content, signatures }: PublishedLists,
    after: number,
  ): Promise<boolean> {
    return await this.#connection.transaction(async (query) => {
      await query("LOCK TABLE broker_lists IN EXCLUSIVE MODE");
      const [row] = await query("SELECT coalesce(max(number), 0) AS number FROM broker_lists");
      if (row!["number"] !== after) return false;
      await query("DELETE FROM broker_lists");
      await query("INSERT INTO broker_lists VALUES ($1, $2, $3)", [number, content, signatures]);
      return true;
    });
  }

  async note({ node, number, fault, probe }: ListUse): Promise<void> {
    await this.#connection.query(
      `INSERT INTO broker_list_uses VALUES ($1, $2, left($3, ${TEXT_MAX_CHARS}), $4)
       ON CONFLICT (node) DO UPDATE
         SET number = excluded.number, fault = excluded.fault, probe = excluded.probe`,
      [node, number ?? null, fault?.replaceAll("\0", "") ?? null, probe ?? null],
    );
  }

  async uses(): Promise<readonly ListUse[]> {
    const rows = await this.#connection.query(
      `SELECT node, number, left(fault, ${TEXT_MAX_CHARS}) AS fault,
         left(probe, ${TEXT_MAX_CHARS}) AS probe
       FROM broker_list_uses ORDER BY node LIMIT ${NODES_MAX}`,
    );
    return rows.map((row) => ({
      node: row["node"] as string,
      number: (row["number"] ?? undefined) as number | undefined,
      fault: (row["fault"] ?? undefined) as string | undefined,
      probe: (row["probe"] ?? undefined) as string | undefined,
    }));
  }
}
