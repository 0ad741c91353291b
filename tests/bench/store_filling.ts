/** Stores as they are after months: many devices, many remembered ids. Written with SQL, in bulk. */

import { DatabaseSync } from "node:sqlite";
import { Store } from "../../src/edge/store.ts";

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
  const certificate = store.prepare("INSERT INTO device_certificates VALUES (?, ?, ?, ?)");
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
  const indexes = database.prepare(
    "SELECT name, sql FROM sqlite_schema WHERE tbl_name = 'replay_guard' AND type = 'index' AND sql IS NOT NULL",
  ).all();
  // Sorted, and the index made afterwards: in any other way this takes minutes.
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN");
  for (const { name } of indexes) database.exec(`DROP INDEX ${name}`);
  database.prepare(`
    WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < :count)
    INSERT INTO replay_guard (device_id, message_id, timestamp)
    SELECT printf('bench_%05d', n % :devices), randomblob(16), CAST(:newest AS INTEGER) - CAST(n * :span / :count AS INTEGER)
    FROM numbers ORDER BY 1, 2`).run({
    count: ids.count,
    devices: ids.devices,
    newest: ids.newestSeconds,
    span: ids.spanSeconds,
  });
  for (const { sql } of indexes) database.exec(String(sql));
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

/** How many ids the store at `path` remembers. */
export function countRememberedIds(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const { count } = database.prepare("SELECT count(*) AS count FROM replay_guard").get()!;
  database.close();
  return count as number;
}
