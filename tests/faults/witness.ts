/**
 * What the store holds, and what it ever held.
 *
 * Each entry that comes into the outbox leaves its names in a table of the harness, by a trigger in
 * the same transaction: so a message that was accepted twice is seen, whatever became of it.
 */

import { DeadLetters } from "../../src/store/sqlite/dead_letters.ts";
import { entryOf } from "../../src/store/stored_entry.ts";
import type { Database } from "../../src/store/sqlite/database.ts";
import type { Carried, StoreContents } from "./checker.ts";

/** Puts the trigger into a store, before its gateway runs. */
export function installWitness(store: Database): void {
  store.transaction(() => {
    store.prepare("CREATE TABLE witnessed (device_id TEXT, message_id TEXT) STRICT").run();
    store.prepare(`
      CREATE TRIGGER outbox_witness AFTER INSERT ON outbox WHEN new.command_state IS NULL BEGIN
        INSERT INTO witnessed VALUES (new.device_id, new.message_id);
      END`).run();
  });
}

/** Everything that the checker asks a store for. */
export function contentsOf(store: Database): StoreContents {
  const names = store.prepare("SELECT device_id, message_id FROM witnessed ORDER BY rowid").all();
  const ids = store.prepare("SELECT device_id, message_id FROM replay_guard").all();
  const outbox = store.prepare("SELECT * FROM outbox WHERE command_state IS NULL ORDER BY sequence")
    .all().map(entryOf);
  const letters = new DeadLetters(store);
  return {
    outbox: outbox.map(carriedOf),
    dead: [...letters.list()].map(({ sequence }) => carriedOf(letters.find(sequence)!)),
    remembered: ids.map((row) => ({
      deviceId: row["device_id"] as string,
      messageId: dashed((row["message_id"] as Uint8Array).toHex()),
    })),
    accepted: names.map((row) => ({
      deviceId: row["device_id"] as string,
      messageId: row["message_id"] as string,
    })),
  };
}

function carriedOf(one: { deviceId: string; messageId: string; payload: Uint8Array }): Carried {
  return { deviceId: one.deviceId, messageId: one.messageId, body: one.payload };
}

/** The text of a UUID's 32 hex digits. */
function dashed(digits: string): string {
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
