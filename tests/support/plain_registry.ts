/** A registry whose secrets are plain, and are to be sealed. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { DatabaseSync } from "node:sqlite";
import { readSealingKeys } from "../../src/store/sealing_keys.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { withFolder } from "./with_folder.ts";

/** More than two transactions of secrets. */
export const DEVICES = 450;

/** What every secret here begins with; nine bytes, so that base64 shows them by themselves. */
export const MARKER = "hush-hush";

/** A site's database before its secrets are sealed. */
export interface Place {
  readonly store: Database;
  readonly places: { readonly file: string; readonly credential: undefined };
  readonly secrets: ReadonlyMap<string, string>;
}

/**
 * A registry with a past: devices came, went and changed their secrets while those were plain, by a
 * program that overwrites nothing it deletes.
 */
export async function withPlainRegistry(work: (place: Place) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const secrets = new Map<string, string>();
    const old = new DatabaseSync(`${folder}/gateway.db`);
    old.exec(`
      CREATE TABLE devices (
        device_id TEXT PRIMARY KEY, shared_secret TEXT NOT NULL, created_at INTEGER
      )`);
    old.exec("BEGIN");
    for (let i = 0; i < 6 * DEVICES; i++) {
      const secret = `${MARKER}${crypto.randomUUID()}`;
      secrets.set(`sensor_${i}`, secret);
      old.prepare("INSERT INTO devices VALUES (?, ?, 1)").run(`sensor_${i}`, secret);
    }
    old.exec("COMMIT; BEGIN");
    const remove = old.prepare("DELETE FROM devices WHERE device_id = ?");
    for (let i = DEVICES; i < 6 * DEVICES; i++) remove.run(`sensor_${i}`);
    old.exec("COMMIT");
    old.close();
    const store = new Database(`${folder}/gateway.db`);
    try {
      await work({
        store,
        places: { file: `${folder}/secrets.key`, credential: undefined },
        secrets,
      });
    } finally {
      store.close();
    }
  });
}

/** Every secret opens with the keys that are there. */
export function assertAllOpen({ store, places, secrets }: Place): void {
  const devices = new Registry(store, readSealingKeys(places)).list();
  assert.equal(devices.length, DEVICES);
  for (const { deviceId, sharedSecret } of devices) {
    assert.equal(sharedSecret, secrets.get(deviceId), deviceId);
  }
}

/** How often the beginning of a secret stands in the files of a folder: as text, in hex, in base64. */
export async function countHits(folder: string): Promise<number> {
  const needles = [
    MARKER,
    Buffer.from(MARKER).toString("hex"),
    Buffer.from(MARKER).toString("base64"),
  ];
  let hits = 0;
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (!isFile) continue;
    const text = Buffer.from(await Deno.readFile(`${folder}/${name}`)).toString("latin1");
    for (const needle of needles) hits += text.split(needle).length - 1;
  }
  return hits;
}
