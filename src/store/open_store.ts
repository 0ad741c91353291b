/** Opening a store: the only place that knows which engines there are. */

import { type ExistingDevice, readDevicesTable } from "./sqlite/existing_devices.ts";
import { inspectDatabase } from "./sqlite/inspection.ts";
import { openSqliteStore } from "./sqlite/sqlite_store.ts";
import type { Store, StoreInspection, StoreOptions } from "./store.ts";
import type { MovedRows } from "./store_move.ts";
import type { PostgresPlace, SqlitePlace, StorePlace } from "./store_place.ts";

/**
 * Opens a store; rejects with a `StoreError`. A file is brought to the newest schema; what several
 * gateways share is only if `create` says so. The client of a server is loaded where one is used.
 */
export async function openStore(place: StorePlace, options: StoreOptions): Promise<Store> {
  if (place.engine !== "postgres") return openSqliteStore(place, options);
  const { openPostgresStore } = await import("./postgres/postgres_store.ts");
  return await openPostgresStore(place, options);
}

/** Brings the schema on a server up to this version's; rejects with a `StoreError`. */
export async function migrateStore(
  place: PostgresPlace,
): Promise<{ readonly schema: number; readonly steps: number }> {
  const { migrateServer } = await import("./postgres/inspection.ts");
  return await migrateServer(place);
}

/**
 * Moves everything from the file to the server, which must have nothing yet; the file gets another
 * name then. Rejects with a `StoreError`, and nothing is changed.
 */
export async function moveStore(from: SqlitePlace, to: PostgresPlace): Promise<MovedRows> {
  const { exportDatabase } = await import("./sqlite/export.ts");
  const { importStore } = await import("./postgres/import.ts");
  await openSqliteStore(from, { author: "command" }).close(); // its schema is the newest then
  const source = exportDatabase(from.database);
  let isMoved = false;
  try {
    const moved = await importStore(to, source);
    isMoved = true;
    return moved;
  } finally {
    source.end(isMoved);
  }
}

/** Looks at a store, and changes nothing; rejects if it cannot be read. */
export async function inspectStore(place: StorePlace): Promise<StoreInspection> {
  if (place.engine !== "postgres") return inspectDatabase(place.database);
  const { inspectServer } = await import("./postgres/inspection.ts");
  return await inspectServer(place);
}

/** The `devices` table of another program's registry, a SQLite file; rejects if there is none. */
export async function readExistingDevices(file: string): Promise<ExistingDevice[]> {
  return await readDevicesTable(file);
}
