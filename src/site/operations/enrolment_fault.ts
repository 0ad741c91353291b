/** What keeps a device from being enrolled: an id or a secret that cannot be used or is taken. */

import { systemFault } from "../../config/system_fault.ts";
import { isDeviceId } from "../../core/device.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { secretFault } from "../device_secret.ts";
import type { BundleFault } from "./device_bundle.ts";

/** A device in a list. */
interface Place {
  readonly deviceId: string;
  readonly place: number;
}

/** What is wrong with one device. */
export type EnrolmentFaultKind =
  | BundleFault
  | { readonly kind: "already_registered"; readonly deviceId: string }
  | { readonly kind: "differs_only_in_case"; readonly deviceId: string; readonly existing: string }
  /** `earlier`: the id and the place of an earlier device in the same list. */
  | { readonly kind: "repeated_id"; readonly deviceId: string; readonly earlier: Place }
  | { readonly kind: "repeated_secret"; readonly deviceId: string; readonly earlier: Place }
  | { readonly kind: "invalid_secret"; readonly deviceId: string; readonly reason: string }
  | { readonly kind: "secret_taken"; readonly deviceId: string; readonly holder: string }
  /** What another registry has is no device. */
  | { readonly kind: "damaged_row"; readonly reason: string }
  /** `hint`: what to do, if the system or the store refused it. */
  | { readonly kind: "not_registered"; readonly reason: string; readonly hint?: string };

/** The same, with the place of the device in what was asked for; undefined if it is about all. */
export type EnrolmentFault = EnrolmentFaultKind & { readonly place: number | undefined };

/** Of what was thrown while all devices were registered. */
export function notRegistered(error: Error): EnrolmentFault {
  const hint = systemFault(error)?.hint;
  const fault = { place: undefined, kind: "not_registered", reason: error.message } as const;
  return hint === undefined ? fault : { ...fault, hint };
}

/** Ids and secrets that are taken, by a registered device or by an earlier one of the same list. */
export async function enrolmentFaults(
  devices: readonly { readonly deviceId: string; readonly secret: string }[],
  registry: RegistryStore,
): Promise<EnrolmentFault[]> {
  const registered = await registry.list();
  const ids = new Map(registered.map(({ deviceId }) => [deviceId.toLowerCase(), deviceId]));
  const holders = await registry.secretHolders();
  const earlier: Earlier = { ids: new Map(), secrets: new Map() };
  return devices.flatMap((device, place) => {
    const { deviceId, secret } = device;
    const fault = idFault(deviceId, { ids, earlier: earlier.ids }) ??
      faultOfSecret(device, { holders, earlier: earlier.secrets });
    const id = deviceId.toLowerCase();
    if (!earlier.ids.has(id)) earlier.ids.set(id, { deviceId, place });
    if (!earlier.secrets.has(secret)) earlier.secrets.set(secret, { deviceId, place });
    return fault === undefined ? [] : [{ place, ...fault }];
  });
}

/** By the id in lower case and by the secret. */
interface Earlier {
  readonly ids: Map<string, Place>;
  readonly secrets: Map<string, Place>;
}

function idFault(
  deviceId: string,
  { ids, earlier }: {
    readonly ids: ReadonlyMap<string, string>;
    readonly earlier: ReadonlyMap<string, Place>;
  },
): EnrolmentFaultKind | undefined {
  if (!isDeviceId(deviceId)) return { kind: "invalid_id", deviceId };
  const existing = ids.get(deviceId.toLowerCase());
  if (existing === deviceId) return { kind: "already_registered", deviceId };
  if (existing !== undefined) return { kind: "differs_only_in_case", deviceId, existing };
  const same = earlier.get(deviceId.toLowerCase());
  return same === undefined ? undefined : { kind: "repeated_id", deviceId, earlier: same };
}

function faultOfSecret(
  { deviceId, secret }: { readonly deviceId: string; readonly secret: string },
  { holders, earlier }: {
    readonly holders: ReadonlyMap<string, string>;
    readonly earlier: ReadonlyMap<string, Place>;
  },
): EnrolmentFaultKind | undefined {
  const reason = secretFault(secret);
  if (reason !== undefined) return { kind: "invalid_secret", deviceId, reason };
  const holder = holders.get(secret);
  if (holder !== undefined) return { kind: "secret_taken", deviceId, holder };
  const same = earlier.get(secret);
  return same === undefined ? undefined : { kind: "repeated_secret", deviceId, earlier: same };
}
