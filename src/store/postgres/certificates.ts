/** The devices' certificates; a withdrawn one stays known until it has expired. */

import type { DeviceCertificate, RevokedDeviceCertificate } from "../device_record.ts";
import { certificateOf, TIME_MAX_SECONDS } from "../stored_device.ts";
import type { Connection, Query } from "./connection.ts";

/** A time as SQL: one that is beyond any date is cut to the last. */
function bounded(column: string): string {
  return `least(greatest(${column}, 0), ${TIME_MAX_SECONDS})`;
}

const COLUMNS = `c.serial, c.device_id, c.issuer, ${bounded("c.not_before")} AS not_before,
  ${bounded("c.not_after")} AS not_after`;

const WITHDRAW = "UPDATE device_certificates SET withdrawn_at = $1 WHERE withdrawn_at IS NULL";

/** The registry's part that has the certificates; see `RegistryStore`. */
export class Certificates {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  async addCertificate(deviceId: string, certificate: DeviceCertificate): Promise<void> {
    const query: Query = (text, values) => this.#connection.query(text, values);
    await this.insertCertificate(query, deviceId, certificate);
  }

  async withdrawOthers(deviceId: string, serial: string, now: number): Promise<number> {
    return await this.#withdraw("AND device_id = $2 AND serial <> $3", [now, deviceId, serial]);
  }

  async withdrawCertificate(serial: string, now: number): Promise<boolean> {
    return await this.#withdraw("AND serial = $2", [now, serial]) > 0;
  }

  async withdrawIssuedByOthers(issuer: string, now: number): Promise<void> {
    await this.#withdraw("AND issuer <> $2", [now, issuer]);
  }

  async certificates(deviceId: string): Promise<DeviceCertificate[]> {
    const rows = await this.#connection.query(
      `SELECT ${COLUMNS} FROM device_certificates c WHERE device_id = $1 AND withdrawn_at IS NULL
       ORDER BY number DESC`,
      [deviceId],
    );
    return rows.map(certificateOf);
  }

  async certificateEnds(): Promise<{ deviceId: string; notAfter: number }[]> {
    const rows = await this.#connection.query(
      `SELECT c.device_id, ${bounded("max(c.not_after)")} AS not_after FROM device_certificates c
       WHERE c.withdrawn_at IS NULL
         AND NOT EXISTS (SELECT FROM device_revocations r WHERE r.device_id = c.device_id)
       GROUP BY c.device_id ORDER BY not_after, c.device_id`,
    );
    return rows.map((row) => ({
      deviceId: row["device_id"] as string,
      notAfter: row["not_after"] as number,
    }));
  }

  async revokedCertificates(since: number): Promise<RevokedDeviceCertificate[]> {
    const rows = await this.#connection.query(
      `SELECT ${COLUMNS}, ${bounded("coalesce(c.withdrawn_at, r.revoked_at)")} AS revoked_at
       FROM device_certificates c LEFT JOIN device_revocations r ON r.device_id = c.device_id
       WHERE (c.withdrawn_at IS NOT NULL OR r.revoked_at IS NOT NULL) AND c.not_after >= $1
       ORDER BY c.serial`,
      [since],
    );
    return rows.map((row) => ({
      ...certificateOf(row),
      deviceId: row["device_id"] as string,
      revokedAt: row["revoked_at"] as number,
    }));
  }

  /** Adds one of a device; belongs inside a transaction. */
  protected async insertCertificate(
    query: Query,
    deviceId: string,
    { serial, notBefore, notAfter, issuer }: DeviceCertificate,
  ): Promise<void> {
    await query(
      `INSERT INTO device_certificates (serial, device_id, not_before, not_after, issuer)
       VALUES ($1, $2, $3, $4, $5)`,
      [serial, deviceId, notBefore, notAfter, issuer ?? null],
    );
  }

  async #withdraw(which: string, values: readonly unknown[]): Promise<number> {
    return (await this.#connection.query(`${WITHDRAW} ${which} RETURNING 1`, values)).length;
  }
}
