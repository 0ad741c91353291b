/**
 * Names and traces of the doctor's own devices.
 *
 * The rules are:
 * - a name is `doctor-` and a random UUID: nobody else's, and found again after a crash;
 * - keys, certificates and secrets of these devices are never in a file, save for the one that is
 *   in the registry while it is needed; their certificates end within a day;
 * - whatever table names devices is searched for traces, also one that later versions add; only
 *   the audit, which nobody can take anything out of, keeps them, and the replay guard, which
 *   forgets every id in its time.
 */

import { Registry } from "../store/sqlite/registry.ts";
import type { SealingKey } from "../store/sealed_secret.ts";
import type { Database } from "../store/sqlite/database.ts";
import {
  type Authority,
  issueClientCertificate,
  type IssuedCertificate,
} from "../site/pki/authority.ts";

/** Days for which a certificate of the doctor's is good. */
const DAYS = 1;
const SECRET_BYTES = 32;
const THROW_AWAY_ID = /^doctor-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** A name for a device that will be gone soon. */
export function temporaryId(): string {
  return `doctor-${crypto.randomUUID()}`;
}

/** A secret for one. */
export function temporarySecret(): string {
  return crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toBase64({ alphabet: "base64url" });
}

/** A certificate for one; with a `serial` in hex that is on the revocation list, it is born revoked. */
export function temporaryCertificate(
  authority: Authority,
  commonName: string,
  options: { nowMs: number; serial?: string },
): Promise<IssuedCertificate> {
  return issueClientCertificate(authority, { commonName, days: DAYS, ...options });
}

/** Registers a device that will be gone soon. */
export function addTemporaryDevice(
  store: Database,
  device: { deviceId: string; secret: string; certificate: IssuedCertificate },
  options: { sealingKeys: readonly SealingKey[]; nowMs: number },
): void {
  const { deviceId, secret, certificate } = device;
  const createdAt = Math.floor(options.nowMs / 1000);
  new Registry(store, options.sealingKeys)
    .add({ deviceId, sharedSecret: secret, createdAt }, certificate);
}

/** The ids of all of them that the store names. */
export function tracesIn(store: Database): string[] {
  const found = deviceTables(store).flatMap((table) =>
    // "." comes after "-".
    store.prepare(
      `SELECT DISTINCT device_id FROM ${table} WHERE device_id > 'doctor-' AND device_id < 'doctor.'`,
    ).all().map((row) => row["device_id"] as string)
  );
  return [...new Set(found)].filter((id) => THROW_AWAY_ID.test(id));
}

/** Takes one out of the registry, the outbox, the dead letters and whatever else names it. */
export function removeTraces(store: Database, deviceId: string): void {
  if (!THROW_AWAY_ID.test(deviceId)) throw new Error(`"${deviceId}" is no throw-away device`);
  new Registry(store).remove(deviceId);
  store.transaction(() => {
    for (const table of deviceTables(store)) {
      store.prepare(`DELETE FROM ${table} WHERE device_id = ?`).run(deviceId);
    }
  });
}

function deviceTables(store: Database): string[] {
  return store.prepare(`
    SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c
    WHERE m.type = 'table' AND c.name = 'device_id' AND m.name NOT GLOB 'replay_*'`).all()
    .map((row) => `"${row["name"]}"`);
}
