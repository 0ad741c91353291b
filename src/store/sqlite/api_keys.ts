/**
 * The keys of the API, in the store.
 *
 * The rules are:
 * - the store has their SHA-256 only, which is enough for keys of 256 random bits;
 * - what another process changes counts from the next request on;
 * - a key is imported from a file only into a store that never had one: what was removed stays
 *   removed.
 */

import type { StatementSync } from "node:sqlite";
import { type ApiKey, type ApiKeyRole, FIRST_KEY_NAME } from "../api_keys.ts";
import type { Database } from "./database.ts";
import { secondsOf } from "../../core/time.ts";

/** The keys of the API. */
export class ApiKeys {
  readonly #store: Database;
  readonly #all: StatementSync;
  readonly #scope: StatementSync;
  #current: readonly ApiKey[] = [];
  #dataVersion = -1;
  #revision = -1;

  constructor(store: Database) {
    this.#store = store;
    this.#all = store.prepare("SELECT * FROM api_keys ORDER BY name");
    this.#scope = store.prepare(
      "SELECT device_id FROM api_key_devices WHERE name = ? ORDER BY device_id",
    );
  }

  /** Every key as of now, by name; cheap if no other process has changed them. */
  current(): readonly ApiKey[] {
    const dataVersion = this.#store.dataVersion();
    if (dataVersion === this.#dataVersion) return this.#current;
    const revision = this.#store.readMark("registry_revision");
    if (revision !== this.#revision) this.#current = this.list();
    this.#revision = revision;
    this.#dataVersion = dataVersion;
    return this.#current;
  }

  /** Every key, by name. */
  list(): ApiKey[] {
    return this.#all.all().map((row) => {
      const name = row["name"] as string;
      const devices = this.#scope.all(name).map((scope) => scope["device_id"] as string);
      return {
        name,
        digest: row["digest"] as Uint8Array,
        createdAt: row["created_at"] as number,
        role: row["role"] as ApiKeyRole,
        deviceIds: row["every_device"] === 1 ? undefined : devices,
      };
    });
  }

  /** True if the store knows a key. */
  has(digest: Uint8Array): boolean {
    const known = this.#store.prepare("SELECT 1 FROM api_keys WHERE digest = ?");
    return known.get(digest) !== undefined;
  }

  /** Adds a key; false if the name is taken. `deviceIds` undefined: for every device. */
  add(
    digest: Uint8Array,
    { name, createdAt, role, deviceIds }: Omit<ApiKey, "digest">,
  ): boolean {
    return this.#store.transaction(() => {
      const { changes } = this.#store.prepare(`
        INSERT INTO api_keys (name, digest, created_at, every_device, role) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT DO NOTHING`).run(
        name,
        digest,
        createdAt,
        deviceIds === undefined ? 1 : 0,
        role,
      );
      if (changes === 0) return false;
      const scope = this.#store.prepare("INSERT OR IGNORE INTO api_key_devices VALUES (?, ?)");
      for (const deviceId of deviceIds ?? []) scope.run(name, deviceId);
      this.#store.writeMark("api_keys_begun", 1);
      this.#dataVersion = -1; // which counts the commits of others only
      return true;
    });
  }

  /** Imports a key into a store that never had one; false if it had. */
  importFirst(digest: Uint8Array, nowMs: number): boolean {
    if (this.#store.readMark("api_keys_begun") !== 0) return false;
    const createdAt = secondsOf(nowMs);
    const first = { name: FIRST_KEY_NAME, role: "commands", deviceIds: undefined } as const;
    return this.add(digest, { ...first, createdAt });
  }

  /** Takes a key out; false if there is none of that name. */
  remove(name: string): boolean {
    return this.#store.transaction(() => {
      this.#dataVersion = -1;
      return this.#store.prepare("DELETE FROM api_keys WHERE name = ?").run(name).changes > 0;
    });
  }
}
