/** Numbers with a name: of all nodes, or of one. */

import type { Query } from "./connection.ts";

/** Stands for all nodes. */
const EVERY_NODE = "";

/** A mark's value; 0 if it was never set. */
export async function readMark(query: Query, name: string, node = EVERY_NODE): Promise<number> {
  const [row] = await query("SELECT value FROM marks WHERE node = $1 AND name = $2", [node, name]);
  return (row?.["value"] ?? 0) as number;
}

/** Sets a mark. */
export async function writeMark(
  query: Query,
  name: string,
  value: number,
  node = EVERY_NODE,
): Promise<void> {
  await query(
    `INSERT INTO marks VALUES ($1, $2, $3)
     ON CONFLICT (node, name) DO UPDATE SET value = excluded.value`,
    [node, name, value],
  );
}
