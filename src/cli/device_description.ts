/** A registered device, as it is printed. */

import { type RegisteredDevice, type SecretUse, statusOf } from "../store/device_record.ts";
import { secondsOf } from "../core/time.ts";

/** The fields of a device; times in ISO 8601. */
interface DeviceDescription {
  readonly device_id: string;
  readonly status: string;
  readonly created_at: string | null;
  readonly certificate_not_after: string | null;
  readonly revoked_at: string | null;
  readonly revoked_reason: string | null;
  /** When it last sent a message whose signature verified, to within a minute. */
  readonly last_seen_at: string | null;
}

/** The fields of a device, as `--json` prints them; never a secret. */
export function describeDevice(
  device: RegisteredDevice,
  lastSeen: number | undefined,
): DeviceDescription {
  return {
    device_id: device.deviceId,
    status: device.damage === undefined ? statusOf(device, secondsOf(Date.now())) : "damaged",
    created_at: isoOf(device.createdAt),
    certificate_not_after: isoOf(device.notAfter),
    revoked_at: isoOf(device.revokedAt),
    revoked_reason: device.revokedReason || null,
    last_seen_at: isoOf(lastSeen),
  };
}

/** When each device that has ever used a secret was last seen, Unix seconds. */
export function lastSeenTimes(uses: readonly SecretUse[]): ReadonlyMap<string, number> {
  const times = new Map<string, number>();
  for (const { deviceId, lastUsed } of uses) {
    times.set(deviceId, Math.max(lastUsed, times.get(deviceId) ?? lastUsed));
  }
  return times;
}

/** A time in ISO 8601; null if it is not known. */
export function isoOf(unixSeconds: number | undefined): string | null {
  if (unixSeconds === undefined) return null;
  const date = new Date(unixSeconds * 1000);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
