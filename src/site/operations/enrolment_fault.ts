/** What keeps a device from being enrolled: an id or a secret that cannot be used or is taken. */

import { isDeviceId } from "../../core/device.ts";
import type { Registry } from "../../store/sqlite/registry.ts";
import { secretFault } from "../device_secret.ts";

/** What is wrong with one device. */
export type EnrolmentFaultKind =
  | { readonly kind: "invalid_id"; readonly deviceId: string }
  | { readonly kind: "already_registered"; readonly deviceId: string }
  | { readonly kind: "differs_only_in_case"; readonly deviceId: string; readonly existing: string }
  | { readonly kind: "invalid_secret"; readonly deviceId: string; readonly reason: string }
  | { readonly kind: "secret_taken"; readonly deviceId: string; readonly holder: string }
  | { readonly kind: "no_bundle"; readonly reason: string }
  | { readonly kind: "not_registered"; readonly reason: string };

/** The same, with the place of the device in what was asked for; undefined if it is about all. */
export type EnrolmentFault = EnrolmentFaultKind & { readonly place: number | undefined };

/** Ids and secrets that are taken, by a registered device or by an earlier one of the same list. */
export function enrolmentFaults(
  devices: readonly { readonly deviceId: string; readonly secret: string }[],
  registry: Registry,
): EnrolmentFault[] {
  const ids = new Map(registry.list().map(({ deviceId }) => [deviceId.toLowerCase(), deviceId]));
  const holders = registry.secretHolders();
  const faults: EnrolmentFault[] = [];
  for (const [place, device] of devices.entries()) {
    const fault = faultOf(device, ids, holders);
    if (fault !== undefined) faults.push({ place, ...fault });
    ids.set(device.deviceId.toLowerCase(), device.deviceId);
    holders.set(device.secret, device.deviceId);
  }
  return faults;
}

function faultOf(
  { deviceId, secret }: { readonly deviceId: string; readonly secret: string },
  ids: ReadonlyMap<string, string>,
  holders: ReadonlyMap<string, string>,
): EnrolmentFaultKind | undefined {
  if (!isDeviceId(deviceId)) return { kind: "invalid_id", deviceId };
  const existing = ids.get(deviceId.toLowerCase());
  if (existing === deviceId) return { kind: "already_registered", deviceId };
  if (existing !== undefined) return { kind: "differs_only_in_case", deviceId, existing };
  const reason = secretFault(secret);
  if (reason !== undefined) return { kind: "invalid_secret", deviceId, reason };
  const holder = holders.get(secret);
  return holder === undefined ? undefined : { kind: "secret_taken", deviceId, holder };
}
