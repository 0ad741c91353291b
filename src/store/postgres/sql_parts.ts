/** What the functions of the server share. */

import { SCHEMA_NAME } from "./connection.ts";

/** On which nodes tell each other that there is something to look at: JSON texts. */
export const CHANNEL = "secure_iot_gateway";

/** SQLSTATE: another gateway works as this node now. */
export const FENCED = "SG001";

/** SQLSTATE: no second server has what is written. */
export const NOT_REPLICATED = "SG005";

/**
 * What every function begins with. A session keeps its plans, and makes them while the tables are
 * empty, where reading all of a table seems cheapest; they fill faster than anything tells the planner.
 * So each row is looked up by an index from the start, under one plan; a table that has none for it is
 * small, and its plan is not as dear as it is made to seem (jit).
 */
export const HEAD = `LANGUAGE plpgsql SET search_path = ${SCHEMA_NAME}
  SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
  SET enable_material = off
  SET plan_cache_mode = force_generic_plan SET jit = off AS $$`;

/** A mark of all nodes as SQL. */
export function mark(name: string): string {
  return `(SELECT value FROM marks WHERE node = '' AND name = '${name}')`;
}
