/** A device as the database has it. */

import { type DeviceWithSecret, SecretError, type StoredSecret } from "../device_record.ts";
import { openSecret, type SealingKey } from "../sealed_secret.ts";

/** The columns of `DeviceRow`. */
export const SELECT_DEVICES = `
  SELECT d.device_id, d.shared_secret, d.created_at, r.revoked_at, r.reason,
         s.generation, s.previous_secret, s.previous_generation, s.previous_until,
         (SELECT max(c.not_after) FROM device_certificates c
           WHERE c.device_id = d.device_id AND c.withdrawn_at IS NULL) AS not_after
  FROM devices d LEFT JOIN device_revocations r ON r.device_id = d.device_id
       LEFT JOIN device_secrets s ON s.device_id = d.device_id`;

/** A row of them, as an array. */
export type DeviceRow = readonly [
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

/** A device with its secrets, which are opened only when they are asked for. */
export class StoredDevice extends LazySecret implements DeviceWithSecret {
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
