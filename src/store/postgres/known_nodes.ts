/** The nodes that have worked on the store. */

import type { KnownNode, KnownNodes } from "../known_nodes.ts";
import type { Connection } from "./connection.ts";

/** Everything of a node but for what it has sent or has to send. */
const TABLES = [
  "leases",
  "audit_rejections",
  "marks",
  "presence",
  "outbox_changes",
  "broker_list_uses",
  "nodes",
] as const;

/** Of what is shown in a line. */
const FAULT_MAX_CHARS = 1_000;

/** The nodes. */
export class PostgresKnownNodes implements KnownNodes {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async list(): Promise<readonly KnownNode[]> {
    const rows = await this.#connection.query(
      `SELECT n.node, (extract(epoch FROM l.until - clock_timestamp()) * 1000)::bigint AS left_ms,
         l.wall_ms - (extract(epoch FROM l.renewed) * 1000)::bigint AS ahead_ms,
         (SELECT count(*) FROM outbox o WHERE o.node = n.node) AS entries,
         u.number AS list_number, left(u.fault, ${FAULT_MAX_CHARS}) AS list_fault
       FROM nodes n LEFT JOIN leases l ON l.node = n.node
         LEFT JOIN broker_list_uses u ON u.node = n.node ORDER BY n.node`,
    );
    return rows.map((row) => ({
      node: row["node"] as string,
      leftMs: (row["left_ms"] ?? undefined) as number | undefined,
      aheadMs: (row["ahead_ms"] ?? undefined) as number | undefined,
      entries: row["entries"] as number,
      listNumber: (row["list_number"] ?? undefined) as number | undefined,
      listFault: (row["list_fault"] ?? undefined) as string | undefined,
    }));
  }

  async remove(node: string): ReturnType<KnownNodes["remove"]> {
    return await this.#connection.transaction(async (query) => {
      const known = await query("SELECT 1 FROM nodes WHERE node = $1 FOR UPDATE", [node]);
      if (known.length === 0) return "unknown";
      const leases = await query(
        "SELECT 1 FROM leases WHERE node = $1 AND until > clock_timestamp()",
        [node],
      );
      if (leases.length > 0) return "at_work";
      const [work] = await query(
        `SELECT EXISTS (SELECT FROM outbox WHERE node = $1) OR
           EXISTS (SELECT FROM commands WHERE node = $1 AND payload IS NOT NULL) AS has_entries`,
        [node],
      );
      if (work!["has_entries"] === true) return "has_entries";
      for (const table of TABLES) await query(`DELETE FROM ${table} WHERE node = $1`, [node]);
      return "removed";
    });
  }
}
