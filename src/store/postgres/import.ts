/**
 * Takes everything in that another engine's store holds: all of it in one transaction, or nothing.
 *
 * The rules are:
 * - only into a store that has nothing yet;
 * - the audit goes on with its numbers and hashes, and says nothing of the move's own writes;
 * - ids are remembered at least as long as they would have been.
 */

import { StoreError } from "../store_error.ts";
import type { MovedRows, StoreExport, StoreRow } from "../store_move.ts";
import type { PostgresPlace } from "../store_place.ts";
import { Connection, type Query } from "./connection.ts";
import { SLOT_SECONDS } from "./functions.ts";

/** Rows that are sent at one time. */
const PAGE_MAX = 500;

/** Marks that are of all nodes; the others are the node's own. */
const SHARED_MARKS: ReadonlySet<string> = new Set([
  ...["registry_revision", "sealing_key", "audit_first", "api_keys_begun", "forgotten_seconds"],
  "revocation_list_number",
]);

/** The columns of each table, with their types; those of bytes come as base64. */
const COLUMNS: Readonly<Record<string, string>> = {
  devices: "device_id text, shared_secret text, created_at bigint",
  device_certificates: "serial text, device_id text, not_before bigint, not_after bigint, " +
    "issuer text, withdrawn_at bigint",
  device_revocations: "device_id text, revoked_at bigint, reason text",
  device_secrets: "device_id text, generation bigint, previous_secret text, " +
    "previous_generation bigint, previous_until bigint",
  device_secret_uses: "device_id text, generation bigint, last_used bigint",
  api_keys: "name text, digest bytes, created_at bigint, every_device flag, role text",
  api_key_devices: "name text, device_id text",
  audit: "sequence bigint, at bigint, author text, event text, subject text, detail text, " +
    "count bigint, hash bytes",
  outbox: "node text, sequence bigint, device_id text, message_id text, timestamp text, " +
    "accepted_ms bigint, payload bytes, command_state text",
  dead_letters: "node text, sequence bigint, device_id text, message_id text, timestamp text, " +
    "accepted_ms bigint, payload bytes, command_state text, died_ms bigint, status bigint, " +
    "reason text, content_type text, location text, body bytes",
  commands: "node text, device_id text, message_id text, key_name text, state text, " +
    "delivery text, created bigint, expires bigint, expires_asked bigint, accepted_steady bigint, " +
    "is_kept flag, sends bigint, copies bigint, last_sent bigint, withdrawn flag, is_told flag, " +
    "ack_state text, ack_received bigint, ack_timestamp text, ack_payload bytes, payload bytes",
  command_requests: "key_name text, idempotency_key text, digest bytes, device_id text, " +
    "message_id text, created bigint, answered flag, timestamp bigint, delivery text",
  command_acknowledgers: "device_id text",
  marks: "node text, name text, value bigint",
};

/** Moves a store to the one at `place`, which has tables and nothing in them. */
export async function importStore(
  place: PostgresPlace,
  source: StoreExport,
): Promise<MovedRows> {
  const connection = new Connection(place, { purpose: "move", author: "command" });
  try {
    return await connection.transaction(async (query) => {
      await refuseUsed(query, connection.name);
      const tables = Object.keys(COLUMNS);
      for (const table of tables) await query(`ALTER TABLE ${table} DISABLE TRIGGER USER`);
      const moved: Record<string, number> = {};
      for (const table of source.tables) {
        moved[table] = await importTable(query, table, { source, node: place.node });
      }
      for (const table of tables) await query(`ALTER TABLE ${table} ENABLE TRIGGER USER`);
      await finish(query);
      return moved;
    });
  } finally {
    await connection.close();
  }
}

async function refuseUsed(query: Query, name: string): Promise<void> {
  const [row] = await query(
    `SELECT EXISTS (SELECT FROM devices) OR EXISTS (SELECT FROM audit) OR
       EXISTS (SELECT FROM outbox) OR EXISTS (SELECT FROM nodes) AS is_used`,
  );
  if (row!["is_used"] !== true) return;
  throw new StoreError(`Cannot move a store to ${name}: there is something in it already`);
}

async function importTable(
  query: Query,
  table: string,
  { source, node }: { readonly source: StoreExport; readonly node: string },
): Promise<number> {
  let count = 0;
  let page: StoreRow[] = [];
  const send = async () => {
    if (page.length === 0) return;
    const text = JSON.stringify(page, sendable);
    if (table === "replay_guard") await rememberAll(query, page);
    else await query(insertOf(table), [text]);
    count += page.length;
    page = [];
  };
  for (const row of source.rows(table)) {
    const isShared = table === "marks" && SHARED_MARKS.has(row["name"] as string);
    page.push({ ...row, node: isShared ? "" : node });
    if (page.length >= PAGE_MAX) await send();
  }
  await send();
  return count;
}

function insertOf(table: string): string {
  const columns = COLUMNS[table]!.split(", ").map((column) =>
    column.split(" ") as [string, string]
  );
  const names = columns.map(([name]) => name);
  const values = columns.map(([name, type]) =>
    type === "bytes"
      ? `decode(r.${name}, 'base64')`
      : type === "flag"
      ? `r.${name} = 1`
      : `r.${name}`
  );
  const types = columns.map(([name, type]) => {
    return `${name} ${type === "bytes" ? "text" : type === "flag" ? "integer" : type}`;
  });
  const isMarks = table === "marks";
  return `INSERT INTO ${table} (${names}) SELECT ${values}
    FROM jsonb_to_recordset($1::jsonb) AS r(${types})${
    isMarks ? " ON CONFLICT (node, name) DO UPDATE SET value = excluded.value" : ""
  }`;
}

async function rememberAll(query: Query, page: readonly StoreRow[]): Promise<void> {
  const seconds = page.map((row) => Number(row["timestamp"]));
  const slots = [...new Set(seconds.map((one) => Math.floor(one / SLOT_SECONDS)))];
  // Slots that are below what is forgotten are made as well: what is there was not forgotten.
  await query("SELECT open_slots($1)", [slots]);
  await query(
    `INSERT INTO replay_guard (device_id, message_id, slot, second, used)
     SELECT device_id, id::uuid, second / ${SLOT_SECONDS}, second % ${SLOT_SECONDS}, used
     FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS r(device_id, id, second, used)
     ON CONFLICT DO NOTHING`,
    [
      page.map((row) => row["device_id"]),
      page.map((row) => row["message_id"]),
      seconds,
      page.map((row) => Number(row["used"])),
    ],
  );
}

/** Numbers go on behind those that were moved. */
async function finish(query: Query): Promise<void> {
  await query(
    `INSERT INTO marks SELECT '', 'audit_last', coalesce(max(sequence), 0) FROM audit
     ON CONFLICT (node, name) DO UPDATE SET value = excluded.value`,
  );
  await query(
    `SELECT setval(pg_get_serial_sequence('outbox', 'sequence'), greatest(1,
       (SELECT max(sequence) FROM outbox), (SELECT max(sequence) FROM dead_letters)))`,
  );
}

function sendable(_name: string, value: unknown): unknown {
  return value instanceof Uint8Array ? value.toBase64() : value;
}
