/** Everything that a database holds, for another engine: nobody else has the file meanwhile. */

import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import type { StoreExport, StoreRow } from "../store_move.ts";
import { StoreError } from "../store_error.ts";
import { APPLICATION_ID, MIGRATIONS } from "./schema.ts";

/** How long another process may hold the file, milliseconds. */
const BUSY_MS = 5_000;

/** What the name of a file gets that was moved: no gateway goes on with it. */
const MOVED = ".moved";

/** Each table, in an order in which another engine can take it, and how it is read. */
const SELECTS: Readonly<Record<string, string>> = {
  devices: "SELECT device_id, shared_secret, created_at FROM devices ORDER BY device_id",
  device_certificates: `SELECT serial, device_id, not_before, not_after, issuer, withdrawn_at
    FROM device_certificates ORDER BY rowid`,
  device_revocations: "SELECT device_id, revoked_at, reason FROM device_revocations",
  device_secrets: `SELECT device_id, generation, previous_secret, previous_generation,
    previous_until FROM device_secrets`,
  device_secret_uses: "SELECT device_id, generation, last_used FROM device_secret_uses",
  api_keys: `SELECT name, digest, created_at, every_device = 1 AS every_device, role
    FROM api_keys`,
  api_key_devices: "SELECT name, device_id FROM api_key_devices",
  audit: `SELECT sequence, at, author, event, subject, detail, count, hash FROM audit
    ORDER BY sequence`,
  outbox: `SELECT sequence, device_id, message_id, timestamp, accepted_ms, payload, command_state
    FROM outbox ORDER BY sequence`,
  dead_letters: `SELECT sequence, device_id, message_id, timestamp, accepted_ms, payload,
    command_state, died_ms, status, reason, content_type, location, body
    FROM dead_letters ORDER BY sequence`,
  commands: `SELECT device_id, message_id, key_name, state, delivery, created, expires,
    coalesce(expires_asked, expires) AS expires_asked,
    coalesce(accepted_steady, created) AS accepted_steady, is_kept, sends, copies, last_sent,
    withdrawn, is_told, ack_state, ack_received, ack_timestamp, ack_payload, payload
    FROM commands ORDER BY number`,
  command_requests: `SELECT key_name, idempotency_key, digest, device_id, message_id, created,
    answered, timestamp, delivery FROM command_requests`,
  command_acknowledgers: "SELECT device_id FROM command_acknowledgers",
  // With the newest timestamp that it can have: it is not forgotten earlier than it would be here.
  replay_guard: `SELECT g.device_id, lower(hex(g.message_id)) AS message_id,
    s.newest_seconds AS timestamp, coalesce(s.last_seconds, s.opened_seconds) AS used
    FROM replay_guard g JOIN replay_slices s ON s.number = g.slice`,
  marks: "SELECT name, value FROM marks",
};

/** Opens a database for that; its schema must be the newest. Throws a `StoreError`. */
export function exportDatabase(path: string): StoreExport {
  const database = new DatabaseSync(path, { timeout: BUSY_MS });
  try {
    const value = (sql: string) => Object.values(database.prepare(sql).get() ?? {})[0];
    const isReady = value("PRAGMA application_id") === APPLICATION_ID &&
      value("PRAGMA user_version") === MIGRATIONS.length;
    if (!isReady) throw new StoreError(`Cannot move "${path}": start its gateway once before`);
    // Refused while any other program has the file open, and none can use it from then on.
    database.exec("PRAGMA journal_mode = DELETE");
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof StoreError) throw error;
    const { message } = error as Error;
    const what = message.includes("locked")
      ? "another program has it open: stop its gateway first"
      : message;
    throw new StoreError(`Cannot move "${path}": ${what}`, { cause: error });
  }
  return {
    tables: Object.keys(SELECTS),
    *rows(table) {
      for (const row of database.prepare(SELECTS[table]!).iterate()) yield storeRow(row, table);
    },
    end: (isMoved) => {
      database.exec("ROLLBACK");
      database.close();
      if (isMoved) Deno.renameSync(path, `${path}${MOVED}`);
    },
  };
}

/** Whatever program has written it: another engine takes no text that is none. */
function storeRow(row: Record<string, SQLOutputValue>, table: string): StoreRow {
  const id = row["device_id"];
  const isText = typeof id === "string" && (table !== "devices" || isSecret(row["shared_secret"]));
  if (id === undefined || isText) return row as StoreRow;
  throw new StoreError(
    `Cannot move the row of "${String(id)}" in ${table}: it is damaged; see device list`,
  );
}

function isSecret(secret: SQLOutputValue | undefined): boolean {
  return typeof secret === "string" && !secret.includes("\0");
}
