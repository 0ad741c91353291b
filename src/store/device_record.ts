/** What a registry knows of a device: the record, its secrets and its certificates. */

import type { DeviceStatus } from "../core/device.ts";
import { StoreError } from "./store_error.ts";

/** A registered device, as an operator may see it. */
export interface RegisteredDevice {
  readonly deviceId: string;
  /** Why its row is refused; undefined if nothing is wrong with it. */
  readonly damage: string | undefined;
  /** Unix seconds; undefined if an older registry did not say. */
  readonly createdAt: number | undefined;
  /** End of the newest certificate, Unix seconds; undefined if none is known. */
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
  /** As the store has it, plain or sealed: to see whether it has changed. */
  readonly storedSecret: string;
  /** The secret; opened when it is asked for, which throws a `SecretError` if that fails. */
  readonly sharedSecret: string;
  /** False if the row is damaged, the secret was altered, or its key is not here. */
  readonly opens: boolean;
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
  /** The fingerprint of the authority that issued it; undefined if that is not known. */
  readonly issuer?: string;
}

/** A certificate that belongs on the revocation list. */
export interface RevokedDeviceCertificate extends DeviceCertificate {
  readonly deviceId: string;
  /** Unix seconds. */
  readonly revokedAt: number;
}

/** True if a secret is good at `nowSeconds`, whose end is `until` or not set. */
export function isGood(
  { until }: { readonly until: number | undefined },
  nowSeconds: number,
): boolean {
  return until === undefined || nowSeconds <= until;
}

/** The secrets of a device that are good at `nowSeconds`, the newest first. */
export function activeSecrets(
  { generation, sharedSecret, previous }: DeviceWithSecret,
  nowSeconds: number,
): { generation: number; sharedSecret: string }[] {
  const newest = { generation, sharedSecret };
  return previous && isGood(previous, nowSeconds) ? [newest, previous] : [newest];
}

/** The status of a device at `nowSeconds`. */
export function statusOf(
  device: RegisteredDevice | undefined,
  nowSeconds: number,
): DeviceStatus {
  if (device === undefined) return "unknown";
  if (device.revokedAt !== undefined) return "revoked";
  return device.notAfter !== undefined && device.notAfter < nowSeconds ? "expired" : "active";
}
