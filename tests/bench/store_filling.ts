/** Stores as they are after months: many devices, many remembered ids. Written with SQL, in bulk. */

import { DatabaseSync } from "node:sqlite";
import { BloomFilters, FILTER_IDS, hashOf } from "../../src/store/sqlite/bloom_filters.ts";
import { Database } from "../../src/store/sqlite/database.ts";

/** Longer than anything is measured. */
const COMMAND_SECONDS = 86_400;

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
  const store = new Database(path);
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

/** Puts in a command that waits for each of the first `count` devices of `fillRegistry`. */
export function fillCommands(path: string, count: number): void {
  const store = new Database(path);
  const command = store.prepare(`
    INSERT INTO commands (state, sends, copies, withdrawn, is_told, payload, message_id, device_id,
      key_name, created, expires, is_kept)
    VALUES ('waiting', 0, 0, 0, 0, ?, ?, ?, 'backend', ?, ?, 1)`);
  const nowSeconds = Math.floor(Date.now() / 1000);
  const payload = new TextEncoder().encode('{"unlock":"door"}');
  store.transaction(() => {
    for (let i = 0; i < count; i++) {
      const id = crypto.randomUUID();
      command.run(payload, id, knownDevice(i), nowSeconds, nowSeconds + COMMAND_SECONDS);
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

/** Makes a store at `path` with nothing in it but remembered ids, as a gateway leaves it behind. */
export function makeStoreWithIds(path: string, ids: RememberedIds): void {
  new Database(path, { create: true }).close();
  const database = new DatabaseSync(path);
  database.exec("PRAGMA synchronous = OFF; PRAGMA cache_size = -200000; BEGIN");
  for (let before = 0; before < ids.count; before += FILTER_IDS) fillSlice(database, ids, before);
  database.exec("COMMIT; PRAGMA wal_checkpoint(TRUNCATE)");
  database.close();
}

/** The last slice is the one that takes new ids. */
function fillSlice(
  database: DatabaseSync,
  { count, devices, newestSeconds, spanSeconds }: RememberedIds,
  before: number,
): void {
  const slice = before / FILTER_IDS + 1;
  const after = Math.min(before + FILTER_IDS, count);
  const insert = database.prepare("INSERT INTO replay_guard VALUES (?, ?, ?)");
  const bank = new BloomFilters();
  for (let i = before; i < after; i++) {
    const deviceId = `bench_${String(i % devices).padStart(5, "0")}`;
    const messageId = crypto.getRandomValues(new Uint8Array(16));
    insert.run(slice, deviceId, messageId);
    bank.add(0, hashOf(deviceId, messageId));
  }
  const secondsAt = (id: number) => Math.ceil(newestSeconds - spanSeconds * (1 - id / count));
  database.prepare("INSERT INTO replay_slices VALUES (?, ?, ?, ?, ?, 0, NULL)").run(
    slice,
    secondsAt(before),
    secondsAt(after),
    after - before,
    after < count ? bank.bytesOf(0) : null,
  );
}

/** How many ids the store at `path` remembers. */
export function countRememberedIds(path: string): number {
  const database = new DatabaseSync(path, { readOnly: true });
  const { count } = database.prepare("SELECT sum(ids) AS count FROM replay_slices").get()!;
  database.close();
  return count as number;
}
