/** A registered device, as it is printed. */

import { type RegisteredDevice, statusOf } from "../store/device_record.ts";

/** The fields of a device; times in ISO 8601. */
interface DeviceDescription {
  readonly device_id: string;
  readonly status: string;
  readonly created_at: string | null;
  readonly certificate_not_after: string | null;
  readonly revoked_at: string | null;
  readonly revoked_reason: string | null;
}

/** The fields of a device, as `--json` prints them; never a secret. */
export function describeDevice(device: RegisteredDevice): DeviceDescription {
  return {
    device_id: device.deviceId,
    status: device.damage === undefined
      ? statusOf(device, Math.floor(Date.now() / 1000))
      : "damaged",
    created_at: isoOf(device.createdAt),
    certificate_not_after: isoOf(device.notAfter),
    revoked_at: isoOf(device.revokedAt),
    revoked_reason: device.revokedReason || null,
  };
}

/** A time in ISO 8601; null if it is not known. */
export function isoOf(unixSeconds: number | undefined): string | null {
  if (unixSeconds === undefined) return null;
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
