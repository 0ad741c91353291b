/**
 * The schema, as numbered migrations.
 *
 * The rules are:
 * - a migration that has been released is never changed; a new one is appended;
 * - `schema_version` says how many of them a database has had;
 * - nothing is brought up at a start, but when an operator says so: no gateway then runs that does not
 *   know the new one.
 */

import { StoreError } from "../store_error.ts";
import { type Connection, type Query, SCHEMA_NAME } from "./connection.ts";
import { CREATE_FUNCTIONS } from "./functions.ts";
import { CREATE_TABLES } from "./tables.ts";

/** Migration number n is `MIGRATIONS[n - 1]`. */
const MIGRATIONS: readonly string[] = [`${CREATE_TABLES}\n${CREATE_FUNCTIONS}`];

/** The schema that this program works on. */
export const NEWEST_SCHEMA: number = MIGRATIONS.length;

/** How many migrations the database has had; 0: none. */
export async function schemaVersion(query: Query): Promise<number> {
  const [there] = await query(`SELECT to_regclass('${SCHEMA_NAME}.schema_version') AS name`);
  if (there!["name"] === null) return 0;
  const [row] = await query(`SELECT version FROM ${SCHEMA_NAME}.schema_version`);
  return (row?.["version"] ?? 0) as number;
}

/** Brings the schema up to the newest; resolves to how many migrations that took. */
export async function migrate(connection: Connection): Promise<number> {
  return await connection.transaction(async (query) => {
    await query("SELECT pg_advisory_xact_lock(hashtext('secure_iot_gateway schema'))");
    const version = await schemaVersion(query);
    refuseNewer(version, connection.name);
    if (version === 0) await refuseEncoding(query, connection.name);
    if (version === NEWEST_SCHEMA) return 0;
    await query(`CREATE SCHEMA IF NOT EXISTS ${SCHEMA_NAME}`);
    await query(`SET LOCAL search_path = ${SCHEMA_NAME}`);
    for (const migration of MIGRATIONS.slice(version)) await query(migration);
    await query("CREATE TABLE IF NOT EXISTS schema_version (version integer NOT NULL)");
    await query("DELETE FROM schema_version");
    await query("INSERT INTO schema_version VALUES ($1)", [NEWEST_SCHEMA]);
    return NEWEST_SCHEMA - version;
  });
}

/** Rejects with a `StoreError` if the schema is not one that this program works on. */
export async function requireSchema(connection: Connection): Promise<void> {
  const version = await schemaVersion((text, values) => connection.query(text, values));
  refuseNewer(version, connection.name);
  if (version === NEWEST_SCHEMA) return;
  const what = version === 0 ? "there is no store in it yet" : `its schema is ${version}`;
  throw new StoreError(`Cannot use ${connection.name}: ${what}: type store migrate`);
}

function refuseNewer(version: number, name: string): void {
  if (version <= NEWEST_SCHEMA) return;
  throw new StoreError(
    `Cannot use ${name}: its schema is ${version}, and this program knows ${NEWEST_SCHEMA}: ` +
      "it was brought up by a newer version",
  );
}

async function refuseEncoding(query: Query, name: string): Promise<void> {
  const [row] = await query("SELECT current_setting('server_encoding') AS encoding");
  if (row!["encoding"] === "UTF8") return;
  throw new StoreError(`Cannot use ${name}: the database's encoding is not UTF8`);
}
