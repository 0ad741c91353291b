/**
 * The devices that may speak, in the store.
 *
 * The rules are:
 * - two ids that differ only in case are refused: file names and people cannot tell them apart;
 * - a device is expired when every certificate known of it is; one that came along with an older
 *   registry, of which no certificate is known, is not;
 * - a certificate that was withdrawn, or whose device was removed, stays known until it has expired:
 *   it belongs on the revocation list;
 * - after a rotation the previous secret is good until its overlap ends, and no secret before it;
 * - a secret leaves this file only to become a key or the device's own copy;
 * - in a site that is sealed, it is written sealed under the site's current key, or not at all.
 */

import type { SQLOutputValue, StatementSync } from "node:sqlite";
import type { DeviceStatus } from "../../core/device.ts";
import { SECRET_COLUMNS } from "./schema.ts";
import {
  isSealed,
  keyIdOf,
  openSecret,
  SEALED_PREFIX,
  sealedPrefix,
  type SealingKey,
  sealSecret,
} from "../sealed_secret.ts";
import { type Database, StoreError } from "./database.ts";

/** A registered device, as an operator may see it. */
export interface RegisteredDevice {
  readonly deviceId: string;
  /** Unix seconds; undefined where an older registry did not say. */
  readonly createdAt: number | undefined;
  /** End of the newest certificate, Unix seconds; undefined where none is known. */
  readonly notAfter: number | undefined;
  /** Unix seconds; undefined while it is not revoked. */
  readonly revokedAt: number | undefined;
  /** Why it is revoked; undefined while it is not. */
  readonly revokedReason: string | undefined;
  /** Counts the device's secrets: 1 is its first one. */
  readonly generation: number;
  /** The generation of the secret before, and until when it is good, Unix seconds. */
  readonly previous: { readonly generation: number; readonly until: number } | undefined;
}

/** A secret of a device. */
export interface StoredSecret {
  /** Counts the device's secrets: 1 is its first one. */
  readonly generation: number;
  /** As it stands in the store, plain or sealed: to see whether it has changed. */
  readonly storedSecret: string;
  /** The secret; opened when it is asked for, which throws a `SecretError` where it fails. */
  readonly sharedSecret: string;
}

/** A device with its secrets, for those who make keys; its own is the newest. */
export interface DeviceWithSecret extends RegisteredDevice, StoredSecret {
  readonly previous: (StoredSecret & { readonly until: number }) | undefined;
}

/** When a device last signed with one of its secrets. */
export interface SecretUse {
  readonly deviceId: string;
  readonly generation: number;
  /** Unix seconds. */
  readonly lastUsed: number;
}

/** A secret that cannot be opened, or not be written as the site wants it. */
export class SecretError extends StoreError {
  override readonly name: string = "SecretError";
}

/** A client certificate that was issued to a device. */
export interface DeviceCertificate {
  /** Lower-case hex. */
  readonly serial: string;
  /** Unix seconds. */
  readonly notBefore: number;
  /** Unix seconds. */
  readonly notAfter: number;
  /** The fingerprint of the authority that issued it; undefined where that is not known. */
  readonly issuer?: string;
}

/** A certificate that belongs on the revocation list. */
export interface RevokedDeviceCertificate extends DeviceCertificate {
  readonly deviceId: string;
  /** Unix seconds. */
  readonly revokedAt: number;
}

/** The secrets of a device that are good at `nowSeconds`, the newest first. */
export function activeSecrets(
  { generation, sharedSecret, previous }: DeviceWithSecret,
  nowSeconds: number,
): { generation: number; sharedSecret: string }[] {
  const newest = { generation, sharedSecret };
  return previous && nowSeconds <= previous.until ? [newest, previous] : [newest];
}

/** Where a device stands at `nowSeconds`. */
export function statusOf(
  device: RegisteredDevice | undefined,
  nowSeconds: number,
): DeviceStatus {
  if (device === undefined) return "unknown";
  if (device.revokedAt !== undefined) return "revoked";
  return device.notAfter !== undefined && device.notAfter < nowSeconds ? "expired" : "active";
}

/** Why the secrets of a store cannot be opened with these keys; undefined where they can. */
export function missingSealingKeys(
  store: Database,
  keys: readonly SealingKey[],
): string | undefined {
  const known = new Set(keys.map(({ id }) => sealedPrefix(id)));
  const needed = SECRET_COLUMNS.flatMap(({ table, column }) =>
    store.prepare(
      `SELECT DISTINCT substr(${column}, 1, 23) AS prefix FROM ${table}
       WHERE substr(${column}, 1, 8) = '${SEALED_PREFIX}'`,
    ).all().map((row) => row["prefix"] as string)
  );
  const current = store.readMark("sealing_key");
  if (current !== 0 && keys.length === 0) {
    needed.push(sealedPrefix(current.toString(16).padStart(12, "0")));
  }
  const missing = new Set(needed.filter((prefix) => !known.has(prefix)).map(keyNameOf));
  if (missing.size === 0) return undefined;
  const has = keys.length === 0 ? "there is none" : `has ${keys.map(({ id }) => id).join(", ")}`;
  return `Cannot open the secrets in "${store.path}": sealed under ${
    [...missing].join(", ")
  }, and secrets.key ${has}`;
}

function keyNameOf(prefix: string): string {
  return keyIdOf(prefix) ?? "a form that is not known here";
}

/** The columns of `DeviceRow`. */
const SELECT_DEVICES = `
  SELECT d.device_id, d.shared_secret, d.created_at, r.revoked_at, r.reason,
         s.generation, s.previous_secret, s.previous_generation, s.previous_until,
         (SELECT max(c.not_after) FROM device_certificates c
           WHERE c.device_id = d.device_id AND c.withdrawn_at IS NULL) AS not_after
  FROM devices d LEFT JOIN device_revocations r ON r.device_id = d.device_id
       LEFT JOIN device_secrets s ON s.device_id = d.device_id`;

type DeviceRow = readonly [
  deviceId: string,
  sharedSecret: string,
  createdAt: number | null,
  revokedAt: number | null,
  revokedReason: string | null,
  generation: number | null,
  previousSecret: string | null,
  previousGeneration: number | null,
  previousUntil: number | null,
  notAfter: number | null,
];

/** The registry. */
export class Registry {
  readonly #store: Database;
  readonly #all: StatementSync;
  readonly #one: StatementSync;
  readonly #sameButCase: StatementSync;
  readonly #sealingKeys: readonly SealingKey[];

  /** `sealingKeys` open the secrets of a site that is sealed; the rest goes without. */
  constructor(store: Database, sealingKeys: readonly SealingKey[] = []) {
    this.#store = store;
    this.#sealingKeys = sealingKeys;
    this.#all = store.prepareArrays(`${SELECT_DEVICES} ORDER BY d.device_id`);
    this.#one = store.prepareArrays(`${SELECT_DEVICES} WHERE d.device_id = ?`);
    this.#sameButCase = store.prepare(
      "SELECT device_id FROM devices WHERE device_id = ? COLLATE NOCASE",
    );
  }

  /** A number that changes whenever anything in the registry does. */
  revision(): number {
    return this.#store.readMark("registry_revision");
  }

  /** Every device, by id. */
  list(): StoredDevice[] {
    const rows = this.#all.all() as unknown as DeviceRow[];
    return rows.map((row) => new StoredDevice(row, this.#sealingKeys));
  }

  /** The device of an id. */
  find(deviceId: string): DeviceWithSecret | undefined {
    const row = this.#one.get(deviceId) as DeviceRow | undefined;
    return row === undefined ? undefined : new StoredDevice(row, this.#sealingKeys);
  }

  /** Why secrets cannot be opened with the keys that are here; undefined where they can. */
  missingSealingKeys(): string | undefined {
    return missingSealingKeys(this.#store, this.#sealingKeys);
  }

  /** The id that stands in the way of `deviceId`: itself, or one that differs only in case. */
  clash(deviceId: string): string | undefined {
    return this.#sameButCase.get(deviceId)?.["device_id"] as string | undefined;
  }

  /** Registers a device with its first certificate; the id must be free. */
  add(
    device: { deviceId: string; sharedSecret: string; createdAt: number },
    certificate: DeviceCertificate,
  ): void {
    this.addAll([{ ...device, certificate }]);
  }

  /**
   * Registers many devices in one transaction; one without a certificate comes from elsewhere.
   * `check` runs before they are, `place` right before the commit: where one of them throws, none is
   * registered.
   */
  addAll(
    devices: readonly {
      readonly deviceId: string;
      readonly sharedSecret: string;
      /** Unix seconds; undefined where nobody knows. */
      readonly createdAt: number | undefined;
      readonly certificate?: DeviceCertificate;
    }[],
    { check, place }: { check?(): void; place?(): void } = {},
  ): void {
    this.#store.transaction(() => {
      check?.();
      const insert = this.#store.prepare("INSERT INTO devices VALUES (?, ?, ?)");
      for (const device of devices) {
        insert.run(device.deviceId, this.#stored(device), device.createdAt ?? null);
        if (device.certificate) this.#addCertificate(device.deviceId, device.certificate);
      }
      place?.();
    });
  }

  /** Takes a device out; its remembered ids stay, its certificates are withdrawn. False where unknown. */
  remove(deviceId: string): boolean {
    return this.#store.transaction(() => {
      for (const table of ["device_revocations", "device_secrets", "device_secret_uses"]) {
        this.#store.prepare(`DELETE FROM ${table} WHERE device_id = ?`).run(deviceId);
      }
      this.#store.prepare(
        "UPDATE device_certificates SET withdrawn_at = unixepoch() WHERE device_id = ? AND withdrawn_at IS NULL",
      ).run(deviceId);
      return this.#store.prepare("DELETE FROM devices WHERE device_id = ?").run(deviceId).changes >
        0;
    });
  }

  /** Refuses everything of a device from now on; one that is revoked keeps its time. */
  revoke(deviceId: string, revocation: { revokedAt: number; reason: string }): void {
    this.#store.transaction(() => {
      this.#store.prepare(`
        INSERT INTO device_revocations VALUES (?, ?, ?)
        ON CONFLICT (device_id) DO UPDATE SET reason = excluded.reason`)
        .run(deviceId, revocation.revokedAt, revocation.reason);
    });
  }

  /** Takes a revocation back; false where there was none. */
  restore(deviceId: string): boolean {
    return this.#store.transaction(() =>
      this.#store.prepare("DELETE FROM device_revocations WHERE device_id = ?").run(deviceId)
        .changes > 0
    );
  }

  /** The device that has this secret, now or until its overlap ends. */
  holderOf(sharedSecret: string): string | undefined {
    return this.secretHolders().get(sharedSecret);
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
   * one that it has never used while it had another is thrown away: nobody will miss it.
   */
  rotateSecret(deviceId: string, sharedSecret: string, options: { until: number }): void {
    this.#store.transaction(() => {
      const device = this.find(deviceId)!;
      const { generation, previous } = device;
      const unused = !this.secretUses(deviceId).some((use) => use.generation === generation);
      const kept = previous && unused ? previous : device;
      this.#store.prepare("UPDATE devices SET shared_secret = ? WHERE device_id = ?")
        .run(this.#stored({ deviceId, sharedSecret }), deviceId);
      this.#store.prepare("INSERT OR REPLACE INTO device_secrets VALUES (?, ?, ?, ?, ?)").run(
        deviceId,
        generation + 1,
        this.#stored({ deviceId, sharedSecret: kept.sharedSecret }),
        kept.generation,
        options.until,
      );
    });
  }

  /** Ends the overlap: the previous secret is good until `now`, Unix seconds, at most. */
  endOverlap(deviceId: string, now: number): void {
    this.#store.transaction(() => {
      this.#store.prepare(
        "UPDATE device_secrets SET previous_until = min(previous_until, ?) WHERE device_id = ?",
      ).run(now - 1, deviceId);
    });
  }

  /** When each secret of a device was last used, or of all devices. */
  secretUses(deviceId?: string): SecretUse[] {
    return this.#store.prepare(
      "SELECT * FROM device_secret_uses WHERE device_id = coalesce(?, device_id)",
    ).all(deviceId ?? null).map((row) => ({
      deviceId: row["device_id"] as string,
      generation: row["generation"] as number,
      lastUsed: row["last_used"] as number,
    }));
  }

  /** Notes when secrets were used; those of devices that are gone by now are not noted. */
  recordUses(uses: readonly SecretUse[]): void {
    this.#store.transaction(() => {
      const note = this.#store.prepare(`
        INSERT OR REPLACE INTO device_secret_uses SELECT ?1, ?2, ?3
        WHERE EXISTS (SELECT 1 FROM devices WHERE device_id = ?1)`);
      for (const { deviceId, generation, lastUsed } of uses) {
        note.run(deviceId, generation, lastUsed);
      }
    });
  }

  /** Registers a further certificate of a device. */
  addCertificate(deviceId: string, certificate: DeviceCertificate): void {
    this.#store.transaction(() => this.#addCertificate(deviceId, certificate));
  }

  /** Withdraws every certificate of a device but the one of `serial`; returns how many. */
  withdrawOthers(deviceId: string, serial: string, now: number): number {
    return this.#store.transaction(() =>
      Number(
        this.#store.prepare(`
          UPDATE device_certificates SET withdrawn_at = ?
          WHERE device_id = ? AND serial <> ? AND withdrawn_at IS NULL`)
          .run(now, deviceId, serial).changes,
      )
    );
  }

  /** Withdraws every certificate that is known to come from another authority. */
  withdrawIssuedByOthers(issuer: string, now: number): void {
    this.#store.transaction(() => {
      this.#store.prepare(
        "UPDATE device_certificates SET withdrawn_at = ? WHERE issuer <> ? AND withdrawn_at IS NULL",
      ).run(now, issuer);
    });
  }

  /** The certificates of a device that it may use, the one that was issued last on top. */
  certificates(deviceId: string): DeviceCertificate[] {
    return this.#store.prepare(`
      SELECT * FROM device_certificates WHERE device_id = ? AND withdrawn_at IS NULL
      ORDER BY rowid DESC`).all(deviceId).map(certificateOf);
  }

  /** Devices that are not revoked, with the end of their newest certificate; without unknown ends. */
  certificateEnds(): { deviceId: string; notAfter: number }[] {
    return this.#store.prepare(`
      SELECT c.device_id, max(c.not_after) AS not_after FROM device_certificates c
      WHERE c.withdrawn_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM device_revocations r WHERE r.device_id = c.device_id)
      GROUP BY c.device_id ORDER BY not_after`).all().map((row) => ({
      deviceId: row["device_id"] as string,
      notAfter: row["not_after"] as number,
    }));
  }

  /** Every certificate that belongs on a revocation list: those that ended before `since` do not. */
  revokedCertificates(since: number): RevokedDeviceCertificate[] {
    return this.#store.prepare(`
      SELECT c.*, coalesce(c.withdrawn_at, r.revoked_at) AS revoked_at
      FROM device_certificates c LEFT JOIN device_revocations r ON r.device_id = c.device_id
      WHERE (c.withdrawn_at IS NOT NULL OR r.revoked_at IS NOT NULL) AND c.not_after >= ?
      ORDER BY c.serial`).all(since).map((row) => ({
      ...certificateOf(row),
      deviceId: row["device_id"] as string,
      revokedAt: row["revoked_at"] as number,
    }));
  }

  /** The number for the next revocation list, higher than every one before. */
  nextRevocationListNumber(): number {
    return this.#store.transaction(() => {
      const number = this.#store.readMark("revocation_list_number") + 1;
      this.#store.writeMark("revocation_list_number", number);
      return number;
    });
  }

  #addCertificate(deviceId: string, certificate: DeviceCertificate): void {
    const { serial, notBefore, notAfter, issuer = null } = certificate;
    this.#store.prepare("INSERT INTO device_certificates VALUES (?, ?, ?, ?, ?, NULL)")
      .run(serial, deviceId, notBefore, notAfter, issuer);
  }

  /** A secret as it is written, under the key that is the site's at this moment. */
  #stored({ deviceId, sharedSecret }: { deviceId: string; sharedSecret: string }): string {
    if (isSealed(sharedSecret)) throw new SecretError(`A secret cannot begin ${SEALED_PREFIX}`);
    const current = this.#store.readMark("sealing_key");
    if (current === 0) return sharedSecret;
    const key = this.#sealingKeys.find(({ id }) => Number.parseInt(id, 16) === current);
    if (key) return sealSecret(sharedSecret, deviceId, key);
    throw new SecretError("The secrets are sealed, and secrets.key is not there or has changed");
  }
}

function certificateOf(row: Record<string, SQLOutputValue>): DeviceCertificate {
  const issuer = row["issuer"] as string | null;
  return {
    serial: row["serial"] as string,
    notBefore: row["not_before"] as number,
    notAfter: row["not_after"] as number,
    ...(issuer !== null && { issuer }),
  };
}

/** A class, so that a secret that is printed or made into JSON does not show. */
class LazySecret implements StoredSecret {
  readonly generation: number;
  readonly #deviceId: string;
  readonly #stored: string;
  readonly #sealingKeys: readonly SealingKey[];

  constructor(
    deviceId: string,
    secret: { readonly generation: number; readonly stored: string },
    sealingKeys: readonly SealingKey[],
  ) {
    this.generation = secret.generation;
    this.#deviceId = deviceId;
    this.#stored = secret.stored;
    this.#sealingKeys = sealingKeys;
  }

  get storedSecret(): string {
    return this.#stored;
  }

  /** False where it was altered, or its key is not here. */
  get opens(): boolean {
    return openSecret(this.#stored, this.#deviceId, this.#sealingKeys).kind === "secret";
  }

  get sharedSecret(): string {
    const opened = openSecret(this.#stored, this.#deviceId, this.#sealingKeys);
    if (opened.kind === "secret") return opened.secret;
    throw new SecretError(
      opened.kind === "damaged"
        ? `Cannot open the secret of "${this.#deviceId}": it was altered`
        : `Cannot open the secret of "${this.#deviceId}": its key is not here`,
    );
  }
}

class StoredPreviousSecret extends LazySecret {
  readonly until: number;

  constructor(
    deviceId: string,
    secret: { readonly generation: number; readonly stored: string; readonly until: number },
    sealingKeys: readonly SealingKey[],
  ) {
    super(deviceId, secret, sealingKeys);
    this.until = secret.until;
  }
}

class StoredDevice extends LazySecret implements DeviceWithSecret {
  readonly deviceId: string;
  readonly previous: StoredPreviousSecret | undefined;
  readonly createdAt: number | undefined;
  readonly notAfter: number | undefined;
  readonly revokedAt: number | undefined;
  readonly revokedReason: string | undefined;

  constructor(row: DeviceRow, sealingKeys: readonly SealingKey[]) {
    const [
      deviceId,
      stored,
      createdAt,
      revokedAt,
      revokedReason,
      generation,
      previousSecret,
      previousGeneration,
      previousUntil,
      notAfter,
    ] = row;
    super(deviceId, { generation: generation ?? 1, stored }, sealingKeys);
    this.deviceId = deviceId;
    this.previous = previousSecret === null ? undefined : new StoredPreviousSecret(deviceId, {
      generation: previousGeneration!,
      stored: previousSecret,
      until: previousUntil!,
    }, sealingKeys);
    this.createdAt = createdAt ?? undefined;
    this.notAfter = notAfter ?? undefined;
    this.revokedAt = revokedAt ?? undefined;
    this.revokedReason = revokedReason ?? undefined;
  }
}
