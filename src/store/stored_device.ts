/** A device as a store has it: other programs write there too, so anything may be in a row. */

import { isDeviceId } from "../core/device.ts";
import {
  type DeviceCertificate,
  type DeviceWithSecret,
  SecretError,
  type StoredSecret,
} from "./device_record.ts";
import { isSealed, openSecret, type SealingKey } from "./sealed_secret.ts";
import type { StoredRow } from "./stored_row.ts";

/** The end of the year 9999, Unix seconds: no date is beyond. */
export const TIME_MAX_SECONDS = 253_402_300_799;

/** The longest secret that is read, in characters. */
export const SECRET_MAX_CHARS = 4096;

/** The most that is read of why a device was revoked, in characters. */
export const REASON_READ_CHARS = 1_000;

/** What is said of a row that has no time where one belongs. */
export const NO_TIME = "its created_at is not a time in Unix seconds";

/** `damaged`: neither a time nor a count. */
type NumberColumn = number | "damaged" | null;

/** A row of them, as an array. */
export type DeviceRow = readonly [
  deviceId: string,
  sharedSecret: string | null,
  createdAt: NumberColumn,
  revokedAt: NumberColumn,
  revokedReason: string | null,
  generation: NumberColumn,
  previousSecret: string | null,
  previousGeneration: NumberColumn,
  previousUntil: NumberColumn,
  notAfter: NumberColumn,
  secretBytes: number | null,
];

/** Why a stored secret is not one, given its length in bytes; undefined if it can be one. */
export function secretDamage(secret: string | null, bytes: number | null): string | undefined {
  if (secret === null) return "its secret is not a text";
  if (secret === "" && bytes === 0) return "its secret is empty";
  if (secret.includes("\ufffd")) return "its secret is not UTF-8";
  if (secret.length > SECRET_MAX_CHARS) return `its secret has over ${SECRET_MAX_CHARS} characters`;
  // SQLite's functions end a text at its first NUL; PostgreSQL has none in a text.
  const isWhole = !secret.includes("\0") && new TextEncoder().encode(secret).length === bytes;
  return isWhole ? undefined : "its secret has a NUL in it";
}

/** What keeps a row from being a device; undefined if nothing does. */
function damageOf(row: DeviceRow, { isPlain }: SiteSecrets): string | undefined {
  const [deviceId, secret, createdAt, revokedAt, , generation, , number, until, notAfter] = row;
  if (!isDeviceId(deviceId)) return "its id is not a device id";
  const damage = secretDamage(secret, row[10]);
  if (damage !== undefined) return damage;
  if (isPlain && isSealed(secret ?? "")) {
    return "its secret is sealed, and those of this site are not";
  }
  if (createdAt === "damaged") return NO_TIME;
  return [revokedAt, generation, number, until, notAfter].includes("damaged")
    ? "one of its times is out of range"
    : undefined;
}

function numberOf(column: NumberColumn): number | undefined {
  return typeof column === "number" ? column : undefined;
}

/** What a row must fit. */
interface SiteSecrets {
  /** True if no secret of the site is sealed. */
  readonly isPlain: boolean;
}

/** A secret as a row has it; it opens to nothing if the row is damaged. */
interface OneSecret {
  readonly generation: number;
  readonly stored: string;
  readonly damage: string | undefined;
}

/** A class, so that a secret that is printed or made into JSON does not show. */
class LazySecret implements StoredSecret {
  readonly generation: number;
  readonly #deviceId: string;
  readonly #stored: string;
  readonly #damage: string | undefined;
  readonly #sealingKeys: readonly SealingKey[];

  constructor(
    deviceId: string,
    secret: OneSecret,
    sealingKeys: readonly SealingKey[],
  ) {
    this.generation = secret.generation;
    this.#deviceId = deviceId;
    this.#stored = secret.stored;
    this.#damage = secret.damage;
    this.#sealingKeys = sealingKeys;
  }

  get storedSecret(): string {
    return this.#stored;
  }

  get opens(): boolean {
    return this.#damage === undefined &&
      openSecret(this.#stored, this.#deviceId, this.#sealingKeys).kind === "secret";
  }

  get sharedSecret(): string {
    if (this.#damage !== undefined) {
      throw new SecretError(`Cannot use device "${this.#deviceId}": ${this.#damage}`);
    }
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
    secret: OneSecret & { readonly until: number },
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
  readonly damage: string | undefined;
  readonly createdAt: number | undefined;
  readonly notAfter: number | undefined;
  readonly revokedAt: number | undefined;
  readonly revokedReason: string | undefined;

  constructor(row: DeviceRow, sealingKeys: readonly SealingKey[], site: SiteSecrets) {
    const damage = damageOf(row, site);
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
    const newest = { generation: numberOf(generation) ?? 1, stored: stored ?? "", damage };
    super(deviceId, newest, sealingKeys);
    this.deviceId = deviceId;
    this.damage = damage;
    this.previous = previousSecret === null ? undefined : new StoredPreviousSecret(deviceId, {
      generation: numberOf(previousGeneration) ?? 0,
      damage,
      stored: previousSecret,
      until: numberOf(previousUntil) ?? 0,
    }, sealingKeys);
    this.createdAt = numberOf(createdAt);
    this.notAfter = numberOf(notAfter);
    // Revoked is revoked, whatever the time is.
    this.revokedAt = revokedAt === null ? undefined : numberOf(revokedAt) ?? 0;
    this.revokedReason = revokedReason ?? undefined;
  }
}

/** The certificate in a row; its times are within what dates can have. */
export function certificateOf(row: StoredRow): DeviceCertificate {
  const issuer = row["issuer"] as string | null;
  return {
    serial: row["serial"] as string,
    notBefore: row["not_before"] as number,
    notAfter: row["not_after"] as number,
    ...(issuer !== null && { issuer }),
  };
}
