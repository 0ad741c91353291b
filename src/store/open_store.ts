/** Opening a store: the only place that knows which engines there are. So far, it is SQLite. */

import { type ExistingDevice, readDevicesTable } from "./sqlite/existing_devices.ts";
import { inspectDatabase } from "./sqlite/inspection.ts";
import { openSqliteStore } from "./sqlite/sqlite_store.ts";
import type { Store, StoreInspection, StoreOptions, StorePlace } from "./store.ts";

/** Opens a store, and brings it to the newest schema; rejects with a `StoreError`. */
export async function openStore(place: StorePlace, options: StoreOptions): Promise<Store> {
  return await openSqliteStore(place, options);
}

/** Looks at a store, and changes nothing; rejects if it cannot be read. */
export async function inspectStore(place: StorePlace): Promise<StoreInspection> {
  return await inspectDatabase(place.database);
}

/** The `devices` table of another program's registry, a SQLite file; rejects if there is none. */
export async function readExistingDevices(file: string): Promise<ExistingDevice[]> {
  return await readDevicesTable(file);
}
