/**
 * The registered devices, in the database.
 *
 * The rules are:
 * - two ids that differ only in case are refused: file names and people cannot tell them apart;
 * - a device is expired when every certificate known of it is; one that came along with an older
 *   registry, of which no certificate is known, is not;
 * - a secret leaves this file only to become a key or the device's own copy;
 * - secrets and certificates have rules of their own: see device_secrets.ts, device_certificates.ts.
 */

import type { StatementSync } from "node:sqlite";
import { secondsOf } from "../../core/time.ts";
import type {
  DeviceCertificate,
  DeviceWithSecret,
  RevokedDeviceCertificate,
  SecretUse,
} from "../device_record.ts";
import {
  type NewDevice,
  type RegistrationConflict,
  registrationConflicts,
} from "../registration.ts";
import type { SealingKey } from "../sealed_secret.ts";
import { type DeviceRow, StoredDevice } from "../stored_device.ts";
import type { Database } from "./database.ts";
import { DeviceCertificates } from "./device_certificates.ts";
import { SELECT_DEVICES } from "./device_columns.ts";
import { DeviceSecrets, missingSealingKeys } from "./device_secrets.ts";

/** The registry. */
export class Registry {
  readonly #store: Database;
  readonly #sealingKeys: readonly SealingKey[];
  readonly #secrets: DeviceSecrets;
  readonly #certificates: DeviceCertificates;
  readonly #all: StatementSync;
  readonly #one: StatementSync;
  readonly #insert: StatementSync;
  readonly #delete: StatementSync;
  readonly #revoke: StatementSync;
  readonly #restore: StatementSync;
  #dataVersion = -1;
  #revision = -1;

  /** `sealingKeys` open the secrets of a site that is sealed; the rest goes without. */
  constructor(store: Database, sealingKeys: readonly SealingKey[] = []) {
    this.#store = store;
    this.#sealingKeys = sealingKeys;
    this.#secrets = new DeviceSecrets(store, sealingKeys);
    this.#certificates = new DeviceCertificates(store);
    this.#all = store.prepareArrays(`${SELECT_DEVICES} ORDER BY d.device_id`);
    this.#one = store.prepareArrays(`${SELECT_DEVICES} WHERE d.device_id = ?`);
    this.#insert = store.prepare("INSERT INTO devices VALUES (?, ?, ?)");
    this.#delete = store.prepare("DELETE FROM devices WHERE device_id = ?");
    this.#revoke = store.prepare(`
      INSERT INTO device_revocations VALUES (?, ?, ?)
      ON CONFLICT (device_id) DO UPDATE SET reason = excluded.reason`);
    this.#restore = store.prepare("DELETE FROM device_revocations WHERE device_id = ?");
  }

  /** A number that changes if anything in the registry does; cheap if nothing was written. */
  revision(): number {
    const dataVersion = this.#store.dataVersion();
    if (dataVersion === this.#dataVersion) return this.#revision;
    this.#revision = this.#store.readMark("registry_revision");
    this.#dataVersion = dataVersion;
    return this.#revision;
  }

  /** Every device, by id. */
  list(): StoredDevice[] {
    const rows = this.#all.all() as unknown as DeviceRow[];
    const site = this.#siteSecrets();
    return rows.map((row) => new StoredDevice(row, this.#sealingKeys, site));
  }

  /** The device of an id. */
  find(deviceId: string): DeviceWithSecret | undefined {
    const row = this.#one.get(deviceId) as DeviceRow | undefined;
    return row === undefined
      ? undefined
      : new StoredDevice(row, this.#sealingKeys, this.#siteSecrets());
  }

  /** Why secrets cannot be opened with the keys that are here; undefined if they can. */
  missingSealingKeys(): string | undefined {
    return missingSealingKeys(this.#store, this.#sealingKeys);
  }

  /** Registers a device with its first certificate; the id must be free. */
  add(
    device: { deviceId: string; sharedSecret: string; createdAt: number },
    certificate: DeviceCertificate,
  ): void {
    this.#change(() => this.#insertAll([{ ...device, certificate }]));
  }

  /** Registers all devices in one transaction, or none: returns every conflict. */
  addAll(devices: readonly NewDevice[]): RegistrationConflict[] {
    return this.#change(() => {
      const ids = this.list().map(({ deviceId }) => deviceId);
      const conflicts = registrationConflicts(devices, { ids, holders: this.secretHolders() });
      if (conflicts.length === 0) this.#insertAll(devices);
      return conflicts;
    });
  }

  /** Removes a device; its remembered ids stay, its certificates are withdrawn. False if unknown. */
  remove(deviceId: string): boolean {
    return this.#change(() => {
      this.#restore.run(deviceId);
      this.#secrets.remove(deviceId);
      this.#certificates.withdrawAll(deviceId, secondsOf(Date.now()));
      return this.#delete.run(deviceId).changes > 0;
    });
  }

  /** Refuses everything of a device from now on; one that is revoked keeps its time. */
  revoke(deviceId: string, revocation: { revokedAt: number; reason: string }): void {
    const { revokedAt, reason } = revocation;
    this.#change(() => this.#revoke.run(deviceId, revokedAt, reason));
  }

  /** Takes a revocation back; false if there was none. */
  restore(deviceId: string): boolean {
    return this.#change(() => this.#restore.run(deviceId).changes > 0);
  }

  /** Who has which secret, now or until its overlap ends; without those that cannot be opened. */
  secretHolders(): Map<string, string> {
    const holders = new Map<string, string>();
    for (const device of this.list()) {
      for (const kept of [device, device.previous]) {
        if (kept?.opens) holders.set(kept.sharedSecret, device.deviceId);
      }
    }
    return holders;
  }

  /**
   * Gives a device a new secret; the one it uses now is good until `until`, Unix seconds. A newest
   * one that it has never used while it had another is dropped: the device does not have it.
   */
  rotateSecret(deviceId: string, sharedSecret: string, options: { until: number }): void {
    this.#change(() => this.#secrets.rotate(this.find(deviceId)!, sharedSecret, options));
  }

  /** Ends the overlap: the previous secret is good until `now`, Unix seconds, at most. */
  endOverlap(deviceId: string, now: number): void {
    this.#change(() => this.#secrets.endOverlap(deviceId, now));
  }

  /** When each secret of a device was last used, or of all devices. */
  secretUses(deviceId?: string): SecretUse[] {
    return this.#secrets.uses(deviceId);
  }

  /** Records when secrets were used, except for devices that are gone by now. */
  recordUses(uses: readonly SecretUse[]): void {
    this.#change(() => this.#secrets.recordUses(uses));
  }

  /** Registers a further certificate of a device. */
  addCertificate(deviceId: string, certificate: DeviceCertificate): void {
    this.#change(() => this.#certificates.add(deviceId, certificate));
  }

  /** Withdraws every certificate of a device but the one of `serial`; returns how many. */
  withdrawOthers(deviceId: string, serial: string, now: number): number {
    return this.#change(() => this.#certificates.withdrawOthers(deviceId, serial, now));
  }

  /** Withdraws one certificate; false if it is not known, or was withdrawn. */
  withdrawCertificate(serial: string, now: number): boolean {
    return this.#change(() => this.#certificates.withdraw(serial, now));
  }

  /** Withdraws every certificate that is known to come from another authority. */
  withdrawIssuedByOthers(issuer: string, now: number): void {
    this.#change(() => this.#certificates.withdrawIssuedByOthers(issuer, now));
  }

  /** The certificates of a device that it may use, the one that was issued last first. */
  certificates(deviceId: string): DeviceCertificate[] {
    return this.#certificates.usable(deviceId);
  }

  /** Devices that are not revoked, with the end of their newest certificate, if it is known. */
  certificateEnds(): { deviceId: string; notAfter: number }[] {
    return this.#certificates.ends();
  }

  /** Every certificate that belongs on a revocation list: those that ended before `since` do not. */
  revokedCertificates(since: number): RevokedDeviceCertificate[] {
    return this.#certificates.revoked(since);
  }

  /** The number for the next revocation list, higher than every one before. */
  nextRevocationListNumber(): number {
    return this.#change(() => {
      const number = this.#store.readMark("revocation_list_number") + 1;
      this.#store.writeMark("revocation_list_number", number);
      return number;
    });
  }

  #insertAll(devices: readonly NewDevice[]): void {
    for (const device of devices) {
      const stored = this.#secrets.storedForm(device);
      this.#insert.run(device.deviceId, stored, device.createdAt ?? null);
      if (device.certificate) this.#certificates.add(device.deviceId, device.certificate);
    }
  }

  #siteSecrets(): { readonly isPlain: boolean } {
    const isPlain = this.#sealingKeys.length === 0 && this.#store.readMark("sealing_key") === 0;
    return { isPlain };
  }

  /** A transaction of our own, which the database's data version does not count. */
  #change<T>(work: () => T): T {
    try {
      return this.#store.transaction(work);
    } finally {
      this.#dataVersion = -1;
    }
  }
}
