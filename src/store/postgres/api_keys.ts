/** The keys of the API; the rules are those of the SQLite engine's api_keys.ts. */

import { secondsOf } from "../../core/time.ts";
import { type ApiKey, type ApiKeyRole, type ApiKeyStore, FIRST_KEY_NAME } from "../api_keys.ts";
import type { Connection, Query } from "./connection.ts";
import { readMark, writeMark } from "./marks.ts";

/** The keys. */
export class PostgresApiKeys implements ApiKeyStore {
  readonly #connection: Connection;
  readonly #query: Query;
  #current: readonly ApiKey[] = [];
  #revision = -1;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#query = (text, values) => connection.query(text, values);
  }

  async current(): Promise<readonly ApiKey[]> {
    const revision = await readMark(this.#query, "registry_revision");
    if (revision !== this.#revision) this.#current = await this.list();
    this.#revision = revision;
    return this.#current;
  }

  async list(): Promise<ApiKey[]> {
    const rows = await this.#query(
      `SELECT k.*, ARRAY(SELECT device_id FROM api_key_devices d WHERE d.name = k.name
         ORDER BY device_id)::text[] AS devices
       FROM api_keys k ORDER BY k.name`,
    );
    return rows.map((row) => ({
      name: row["name"] as string,
      digest: row["digest"] as Uint8Array,
      createdAt: row["created_at"] as number,
      role: row["role"] as ApiKeyRole,
      deviceIds: row["every_device"] === true ? undefined : row["devices"] as string[],
    }));
  }

  async has(digest: Uint8Array): Promise<boolean> {
    return (await this.#query("SELECT 1 FROM api_keys WHERE digest = $1", [digest])).length > 0;
  }

  async add(digest: Uint8Array, key: Omit<ApiKey, "digest">): Promise<boolean> {
    return await this.#connection.transaction((query) => add(query, digest, key));
  }

  async importFirst(digest: Uint8Array, nowMs: number): Promise<boolean> {
    return await this.#connection.transaction(async (query) => {
      await query("SELECT 1 FROM marks WHERE node = '' AND name = 'api_keys_begun' FOR UPDATE");
      if (await readMark(query, "api_keys_begun") !== 0) return false;
      const createdAt = secondsOf(nowMs);
      const first = { name: FIRST_KEY_NAME, role: "commands", deviceIds: undefined } as const;
      return await add(query, digest, { ...first, createdAt });
    });
  }

  async remove(name: string): Promise<boolean> {
    const removed = await this.#query(
      "DELETE FROM api_keys WHERE lower(name) = lower($1) RETURNING 1",
      [name],
    );
    return removed.length > 0;
  }
}

async function add(
  query: Query,
  digest: Uint8Array,
  { name, createdAt, role, deviceIds }: Omit<ApiKey, "digest">,
): Promise<boolean> {
  const added = await query(
    `INSERT INTO api_keys (name, digest, created_at, every_device, role)
     VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING RETURNING 1`,
    [name, digest, createdAt, deviceIds === undefined, role],
  );
  if (added.length === 0) return false;
  await query(
    "INSERT INTO api_key_devices SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING",
    [name, deviceIds ?? []],
  );
  await writeMark(query, "api_keys_begun", 1);
  return true;
}
