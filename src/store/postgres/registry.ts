/** The registered devices; the rules are those of the SQLite engine's registry.ts. */

import { secondsOf } from "../../core/time.ts";
import { SECRET_COLUMNS } from "../audited_changes.ts";
import type { DeviceWithSecret, SecretUse } from "../device_record.ts";
import {
  type NewDevice,
  type RegistrationConflict,
  registrationConflicts,
} from "../registration.ts";
import type { RegistryStore } from "../registry.ts";
import { SEALED_PREFIX, type SealingKey } from "../sealed_secret.ts";
import { missingKeys, storedForm } from "../sealed_site.ts";
import {
  type DeviceRow,
  REASON_READ_CHARS,
  SECRET_MAX_CHARS,
  StoredDevice,
  TIME_MAX_SECONDS,
} from "../stored_device.ts";
import type { Connection, Query } from "./connection.ts";
import { Certificates } from "./certificates.ts";
import type { Row } from "./driver.ts";
import { readMark } from "./marks.ts";

/** A time or count as SQL: -1 for what is neither. */
function numberColumn(column: string): string {
  return `CASE WHEN ${column} BETWEEN 0 AND ${TIME_MAX_SECONDS} THEN ${column}
    WHEN ${column} IS NOT NULL THEN -1 END`;
}

/** The columns in the order of `DeviceRow`. */
const SELECT_DEVICES = `
  SELECT substr(d.device_id, 1, 201) AS c0, substr(d.shared_secret, 1, ${
  SECRET_MAX_CHARS + 1
}) AS c1,
    ${numberColumn("d.created_at")} AS c2, ${numberColumn("r.revoked_at")} AS c3,
    substr(r.reason, 1, ${REASON_READ_CHARS}) AS c4,
    ${numberColumn("s.generation")} AS c5, substr(s.previous_secret, 1, ${
  SECRET_MAX_CHARS + 1
}) AS c6,
    ${numberColumn("s.previous_generation")} AS c7, ${numberColumn("s.previous_until")} AS c8,
    c.not_after AS c9, octet_length(d.shared_secret) AS c10
  FROM devices d LEFT JOIN device_revocations r ON r.device_id = d.device_id
    LEFT JOIN device_secrets s ON s.device_id = d.device_id
    LEFT JOIN (
      SELECT device_id, ${numberColumn("max(not_after)")} AS not_after FROM device_certificates
      WHERE withdrawn_at IS NULL GROUP BY device_id
    ) c ON c.device_id = d.device_id`;

/** The revision that was seen last; undefined: there is a newer one. */
export interface SeenRevision {
  revision: number | undefined;
}

/** The registry. */
export class PostgresRegistry extends Certificates implements RegistryStore {
  readonly #connection: Connection;
  readonly #query: Query;
  readonly #sealingKeys: readonly SealingKey[];
  readonly #seen: SeenRevision;

  /** `sealingKeys` open the secrets of a site that is sealed; the rest goes without. */
  constructor(
    connection: Connection,
    sealingKeys: readonly SealingKey[],
    seen: SeenRevision = { revision: undefined },
  ) {
    super(connection);
    this.#connection = connection;
    this.#query = (text, values) => connection.query(text, values);
    this.#sealingKeys = sealingKeys;
    this.#seen = seen;
  }

  async revision({ isChecked } = { isChecked: false }): Promise<number> {
    if (!isChecked || this.#seen.revision === undefined) {
      this.#seen.revision = await readMark(this.#query, "registry_revision");
    }
    return this.#seen.revision;
  }

  async list(): Promise<DeviceWithSecret[]> {
    return await this.#list(this.#query);
  }

  async find(deviceId: string): Promise<DeviceWithSecret | undefined> {
    return await this.#find(this.#query, deviceId);
  }

  async missingSealingKeys(): Promise<string | undefined> {
    const prefixes = await Promise.all(SECRET_COLUMNS.map(({ table, column }) =>
      this.#query(
        `SELECT DISTINCT substr(${column}, 1, 23) AS prefix FROM ${table}
         WHERE substr(${column}, 1, 8) = '${SEALED_PREFIX}'`,
      )
    ));
    return missingKeys({
      current: await readMark(this.#query, "sealing_key"),
      prefixes: prefixes.flat().map((row) => row["prefix"] as string),
      place: this.#connection.name,
    }, this.#sealingKeys);
  }

  async addAll(devices: readonly NewDevice[]): Promise<RegistrationConflict[]> {
    return await this.#connection.transaction(async (query) => {
      await query("LOCK TABLE devices IN SHARE ROW EXCLUSIVE MODE");
      const registered = await this.#list(query);
      const ids = registered.map(({ deviceId }) => deviceId);
      const conflicts = registrationConflicts(devices, { ids, holders: holdersOf(registered) });
      if (conflicts.length === 0) await this.#insertAll(query, devices);
      return conflicts;
    });
  }

  async remove(deviceId: string): Promise<boolean> {
    return await this.#connection.transaction((query) => removeDevice(query, deviceId));
  }

  async revoke(
    deviceId: string,
    { revokedAt, reason }: { revokedAt: number; reason: string },
  ): Promise<void> {
    await this.#query(
      `INSERT INTO device_revocations VALUES ($1, $2, $3)
       ON CONFLICT (device_id) DO UPDATE SET reason = excluded.reason`,
      [deviceId, revokedAt, reason],
    );
  }

  async restore(deviceId: string): Promise<boolean> {
    const restored = await this.#query(
      "DELETE FROM device_revocations WHERE device_id = $1 RETURNING 1",
      [deviceId],
    );
    return restored.length > 0;
  }

  async secretHolders(): Promise<Map<string, string>> {
    return holdersOf(await this.#list(this.#query));
  }

  async rotateSecret(
    deviceId: string,
    sharedSecret: string,
    { until }: { until: number },
  ): Promise<void> {
    await this.#connection.transaction(async (query) => {
      await query("SELECT 1 FROM devices WHERE device_id = $1 FOR UPDATE", [deviceId]);
      const device = (await this.#find(query, deviceId))!;
      const { generation, previous } = device;
      const unused = !(await usesOf(query, deviceId)).some((use) => use.generation === generation);
      const kept = previous && unused ? previous : device;
      const newest = await this.#storedForm(query, { deviceId, sharedSecret });
      const former = { deviceId, sharedSecret: kept.sharedSecret };
      const before = await this.#storedForm(query, former);
      await query("UPDATE devices SET shared_secret = $1 WHERE device_id = $2", [newest, deviceId]);
      await query("DELETE FROM device_secrets WHERE device_id = $1", [deviceId]);
      await query("INSERT INTO device_secrets VALUES ($1, $2, $3, $4, $5)", [
        ...[deviceId, generation + 1, before, kept.generation, until],
      ]);
    });
  }

  async endOverlap(deviceId: string, now: number): Promise<void> {
    await this.#query(
      `UPDATE device_secrets SET previous_until = least(previous_until, $1::bigint)
       WHERE device_id = $2`,
      [now - 1, deviceId],
    );
  }

  async secretUses(deviceId?: string): Promise<SecretUse[]> {
    return await usesOf(this.#query, deviceId);
  }

  async recordUses(uses: readonly SecretUse[]): Promise<void> {
    const sorted = uses.toSorted((one, other) => one.deviceId < other.deviceId ? -1 : 1);
    await this.#query(
      `INSERT INTO device_secret_uses
       SELECT u.* FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS u(device_id, generation, at)
       WHERE EXISTS (SELECT FROM devices d WHERE d.device_id = u.device_id)
       ON CONFLICT (device_id, generation) DO UPDATE SET last_used = excluded.last_used`,
      [
        sorted.map(({ deviceId }) => deviceId),
        sorted.map(({ generation }) => generation),
        sorted.map(({ lastUsed }) => lastUsed),
      ],
    );
  }

  async nextRevocationListNumber(): Promise<number> {
    const [row] = await this.#query(
      `UPDATE marks SET value = value + 1 WHERE node = '' AND name = 'revocation_list_number'
       RETURNING value`,
    );
    return row!["value"] as number;
  }

  async #list(query: Query): Promise<StoredDevice[]> {
    const rows = await query(`${SELECT_DEVICES} ORDER BY d.device_id`);
    return await this.#devicesOf(query, rows);
  }

  async #find(query: Query, deviceId: string): Promise<StoredDevice | undefined> {
    const rows = await query(`${SELECT_DEVICES} WHERE d.device_id = $1`, [deviceId]);
    return (await this.#devicesOf(query, rows))[0];
  }

  async #devicesOf(query: Query, rows: readonly Row[]): Promise<StoredDevice[]> {
    const isPlain = this.#sealingKeys.length === 0 && await readMark(query, "sealing_key") === 0;
    return rows.map((row) => new StoredDevice(deviceRow(row), this.#sealingKeys, { isPlain }));
  }

  async #insertAll(query: Query, devices: readonly NewDevice[]): Promise<void> {
    for (const device of devices) {
      const { deviceId, createdAt, certificate } = device;
      const stored = await this.#storedForm(query, device);
      await query("INSERT INTO devices VALUES ($1, $2, $3)", [deviceId, stored, createdAt ?? null]);
      if (certificate) await this.insertCertificate(query, deviceId, certificate);
    }
  }

  async #storedForm(
    query: Query,
    device: { deviceId: string; sharedSecret: string },
  ): Promise<string> {
    const current = await readMark(query, "sealing_key");
    return storedForm(device, { current, keys: this.#sealingKeys });
  }
}

/** Removes a device; false if there is none of that id. */
export async function removeDevice(query: Query, deviceId: string): Promise<boolean> {
  for (const table of ["device_revocations", "device_secrets", "device_secret_uses"]) {
    await query(`DELETE FROM ${table} WHERE device_id = $1`, [deviceId]);
  }
  await query(
    "UPDATE device_certificates SET withdrawn_at = $1 WHERE withdrawn_at IS NULL AND device_id = $2",
    [secondsOf(Date.now()), deviceId],
  );
  const removed = await query("DELETE FROM devices WHERE device_id = $1 RETURNING 1", [deviceId]);
  return removed.length > 0;
}

function holdersOf(devices: readonly StoredDevice[]): Map<string, string> {
  const kept = devices.flatMap((device) =>
    [device, device.previous].flatMap((secret) =>
      secret?.opens ? [[secret.sharedSecret, device.deviceId] as const] : []
    )
  );
  return new Map(kept);
}

async function usesOf(query: Query, deviceId: string | undefined): Promise<SecretUse[]> {
  const rows = await query(
    `SELECT device_id, generation, least(greatest(last_used, 0), ${TIME_MAX_SECONDS}) AS last_used
     FROM device_secret_uses WHERE device_id = coalesce($1::text, device_id)`,
    [deviceId ?? null],
  );
  return rows.map((row) => ({
    deviceId: row["device_id"] as string,
    generation: row["generation"] as number,
    lastUsed: row["last_used"] as number,
  }));
}

function deviceRow(row: Row): DeviceRow {
  const columns = Array.from({ length: 11 }, (_, i) => row[`c${i}`]);
  return columns.map((column) => column === -1 ? "damaged" : column) as unknown as DeviceRow;
}
