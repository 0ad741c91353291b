/** A database on a server as it is, and bringing it up: opening it as a store does neither. */

import type { StoreInspection } from "../store.ts";
import type { PostgresPlace } from "../store_place.ts";
import { Connection } from "./connection.ts";
import { migrate, NEWEST_SCHEMA, schemaVersion } from "./schema.ts";

/** Looks at a database, and changes nothing; rejects with a `StoreError`. */
export async function inspectServer(place: PostgresPlace): Promise<StoreInspection> {
  return await withConnection(place, async (connection) => {
    const schema = await schemaVersion((text, values) => connection.query(text, values));
    return { damage: undefined, isForeign: false, schema, newestSchema: NEWEST_SCHEMA };
  });
}

/** Brings the schema up; resolves to the newest one, and by how many steps it was behind. */
export async function migrateServer(place: PostgresPlace) {
  return await withConnection(place, async (connection) => (
    { schema: NEWEST_SCHEMA, steps: await migrate(connection) }
  ));
}

async function withConnection<T>(
  place: PostgresPlace,
  work: (connection: Connection) => Promise<T>,
): Promise<T> {
  const connection = new Connection(place, { purpose: "inspection", author: "command" });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}
