/** What the functions of the server share. */

import { SCHEMA_NAME } from "./connection.ts";

/** On which nodes tell each other that there is something to look at: JSON texts. */
export const CHANNEL = "secure_iot_gateway";

/** SQLSTATE: another gateway works as this node now. */
export const FENCED = "SG001";

/** SQLSTATE: no second server has what is written. */
export const NOT_REPLICATED = "SG005";

/** What every function begins with. */
export const HEAD = `LANGUAGE plpgsql SET search_path = ${SCHEMA_NAME} AS $$`;

/** A mark of all nodes as SQL. */
export function mark(name: string): string {
  return `(SELECT value FROM marks WHERE node = '' AND name = '${name}')`;
}
