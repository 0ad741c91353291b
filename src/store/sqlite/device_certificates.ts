/**
 * The devices' certificates in the database.
 *
 * A certificate that was withdrawn, or whose device was removed, stays known until it has expired: it
 * belongs on the revocation list.
 */

import type { StatementSync } from "node:sqlite";
import type { DeviceCertificate, RevokedDeviceCertificate } from "../device_record.ts";
import { certificateOf } from "../stored_device.ts";
import type { Database } from "./database.ts";
import { boundedColumn } from "./device_columns.ts";

const COLUMNS = `c.serial, c.device_id, c.issuer,
  ${boundedColumn("c.not_before")} AS not_before, ${boundedColumn("c.not_after")} AS not_after`;

/** The certificates; what writes belongs inside a transaction. */
export class DeviceCertificates {
  readonly #insert: StatementSync;
  readonly #withdrawAll: StatementSync;
  readonly #withdrawOthers: StatementSync;
  readonly #withdrawOne: StatementSync;
  readonly #withdrawForeign: StatementSync;
  readonly #usable: StatementSync;
  readonly #ends: StatementSync;
  readonly #revoked: StatementSync;

  constructor(store: Database) {
    this.#insert = store.prepare("INSERT INTO device_certificates VALUES (?, ?, ?, ?, ?, NULL)");
    const withdraw = "UPDATE device_certificates SET withdrawn_at = ? WHERE withdrawn_at IS NULL";
    this.#withdrawAll = store.prepare(`${withdraw} AND device_id = ?`);
    this.#withdrawOthers = store.prepare(`${withdraw} AND device_id = ? AND serial <> ?`);
    this.#withdrawOne = store.prepare(`${withdraw} AND serial = ?`);
    this.#withdrawForeign = store.prepare(`${withdraw} AND issuer <> ?`);
    this.#usable = store.prepare(`
      SELECT ${COLUMNS} FROM device_certificates c WHERE device_id = ? AND withdrawn_at IS NULL
      ORDER BY rowid DESC`);
    this.#ends = store.prepare(`
      SELECT c.device_id, ${
      boundedColumn("max(c.not_after)")
    } AS not_after FROM device_certificates c
      WHERE c.withdrawn_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM device_revocations r WHERE r.device_id = c.device_id)
      GROUP BY c.device_id ORDER BY not_after`);
    this.#revoked = store.prepare(`
      SELECT ${COLUMNS}, ${boundedColumn("coalesce(c.withdrawn_at, r.revoked_at)")} AS revoked_at
      FROM device_certificates c LEFT JOIN device_revocations r ON r.device_id = c.device_id
      WHERE (c.withdrawn_at IS NOT NULL OR r.revoked_at IS NOT NULL) AND c.not_after >= ?
      ORDER BY c.serial`);
  }

  /** Adds one of a device. */
  add(deviceId: string, certificate: DeviceCertificate): void {
    const { serial, notBefore, notAfter, issuer = null } = certificate;
    this.#insert.run(serial, deviceId, notBefore, notAfter, issuer);
  }

  /** Withdraws every one of a device. */
  withdrawAll(deviceId: string, now: number): void {
    this.#withdrawAll.run(now, deviceId);
  }

  /** Withdraws every one of a device but the one of `serial`; returns how many. */
  withdrawOthers(deviceId: string, serial: string, now: number): number {
    return Number(this.#withdrawOthers.run(now, deviceId, serial).changes);
  }

  /** Withdraws one; false if it is not known, or was withdrawn. */
  withdraw(serial: string, now: number): boolean {
    return this.#withdrawOne.run(now, serial).changes > 0;
  }

  /** Withdraws every one that is known to come from another authority. */
  withdrawIssuedByOthers(issuer: string, now: number): void {
    this.#withdrawForeign.run(now, issuer);
  }

  /** Those of a device that it may use, the one that was issued last first. */
  usable(deviceId: string): DeviceCertificate[] {
    return this.#usable.all(deviceId).map(certificateOf);
  }

  /** Devices that are not revoked, with the end of their newest certificate, if it is known. */
  ends(): { deviceId: string; notAfter: number }[] {
    return this.#ends.all().map((row) => ({
      deviceId: row["device_id"] as string,
      notAfter: row["not_after"] as number,
    }));
  }

  /** Every one that belongs on a revocation list: those that ended before `since` do not. */
  revoked(since: number): RevokedDeviceCertificate[] {
    return this.#revoked.all(since).map((row) => ({
      ...certificateOf(row),
      deviceId: row["device_id"] as string,
      revokedAt: row["revoked_at"] as number,
    }));
  }
}
