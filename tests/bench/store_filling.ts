/** Stores as they are after months: many devices, many remembered ids. Written with SQL, in bulk. */

import { DatabaseSync } from "node:sqlite";
import { REPLAY_SLICES } from "../../src/store/schema.ts";
import { Store } from "../../src/store/store.ts";

const CERTIFICATE_SECONDS = 10 * 365 * 86_400;

/** The id of the device that `fillRegistry` gives a number. */
export function knownDevice(number: number): string {
  return `known_${String(number).padStart(5, "0")}`;
}

/** The secret of the device that `fillRegistry` gives a number. */
export function knownSecret(number: number): string {
  return `secret of ${knownDevice(number)}, long enough`;
}

/** Registers `count` devices, each with a certificate that is on record only. */
export function fillRegistry(path: string, count: number): void {
  const store = new Store(path);
  const device = store.prepare("INSERT INTO devices VALUES (?, ?, ?)");
  const certificate = store.prepare(
    "INSERT INTO device_certificates VALUES (?, ?, ?, ?, NULL, NULL)",
  );
  const nowSeconds = Math.floor(Date.now() / 1000);
  store.transaction(() => {
    for (let i = 0; i < count; i++) {
      const deviceId = knownDevice(i);
      device.run(deviceId, knownSecret(i), nowSeconds);
      const serial = crypto.randomUUID().replaceAll("-", "");
      certificate.run(serial, deviceId, nowSeconds, nowSeconds + CERTIFICATE_SECONDS);
    }
  });
  store.close();
}

/** Which ids a store remembers; timestamps are spread evenly up to the newest. */
export interface RememberedIds {
  readonly count: number;
  /** Of this many devices. */
  readonly devices: number;
  readonly newestSeconds: number;
  readonly spanSeconds: number;
}

/** Makes a store at `path` with nothing in it but remembered ids, as if devices had sent them. */
export function makeStoreWithIds(path: string, ids: RememberedIds): void {
  new Store(path, { create: true }).close();
  const database = new DatabaseSync(path);
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN");
  const full = REPLAY_SLICES.slice(0, -1);
  for (const number of full) fillSlice(database, ids, { number, of: full.length });
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

function fillSlice(
  database: DatabaseSync,
  { count, devices, newestSeconds, spanSeconds }: RememberedIds,
  slice: { readonly number: number; readonly of: number },
): void {
  const share = Math.floor(count * slice.number / slice.of) -
    Math.floor(count * (slice.number - 1) / slice.of);
  const ends = newestSeconds - Math.floor(spanSeconds * (slice.of - slice.number) / slice.of);
  const begins = ends - Math.ceil(spanSeconds / slice.of);
  // Sorted: in any other way this takes minutes.
  if (share > 0) {
    database.prepare(`
      WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :share)
      INSERT INTO replay_guard_${slice.number}
      SELECT printf('bench_%05d', n % :devices), randomblob(16) FROM numbers ORDER BY 1, 2`)
      .run({ share, devices });
  }
  database.prepare("REPLACE INTO replay_slices VALUES (?, ?, ?, ?, ?)")
    .run(slice.number, slice.number, begins, ends, share);
}

/** How many ids the store at `path` remembers. */
export function countRememberedIds(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const { count } = database.prepare("SELECT sum(ids) AS count FROM replay_slices").get()!;
  database.close();
  return count as number;
}
