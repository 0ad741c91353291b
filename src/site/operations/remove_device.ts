/**
 * Use case: a device is removed from the registry and at the broker, with its bundle.
 *
 * The rules are:
 * - the registry first: from then on the gateway refuses every message of the device;
 * - the bundle last, and only if the broker was told: while it is there, the same command again goes on
 *   where this one stopped.
 */

import type { RegistryStore } from "../../store/registry.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import { hasDeviceBundle, removeDeviceBundle } from "./device_bundle.ts";
import type { RevocationFault, RevocationStep } from "./revocation.ts";

/** One thing that was done or seen. */
export type RemoveDeviceStep =
  | { readonly kind: "device_removed"; readonly deviceId: string }
  | { readonly kind: "broker_not_running"; readonly reason: string }
  | { readonly kind: "bundle_removed"; readonly deviceId: string }
  | RevocationStep;

/** What was done, in order, or that there is no such device. */
type RemoveDeviceResult =
  | { readonly found: false }
  | {
    readonly found: true;
    readonly steps: readonly RemoveDeviceStep[];
    readonly fault?: RevocationFault;
  };

/** Removes a device, refuses its certificates at the broker, and ends its connection. */
export async function removeDevice(
  registry: RegistryStore,
  site: OpenSite,
  deviceId: string,
): Promise<RemoveDeviceResult> {
  const hadBundle = await hasDeviceBundle(site.layout, deviceId);
  const wasRegistered = await registry.remove(deviceId);
  if (!wasRegistered && !hadBundle) return { found: false };
  const steps: RemoveDeviceStep[] = wasRegistered ? [{ kind: "device_removed", deviceId }] : [];
  const update = await updateBroker(registry, site, { deviceId, because: "removed" });
  steps.push(...update.steps);
  // Nothing listens, so there is no connection to end; the lists are read when the broker starts.
  if (update.fault?.kind === "broker_not_running") {
    steps.push({ kind: "broker_not_running", reason: update.fault.reason });
  } else if (update.fault) {
    return { found: true, steps, fault: update.fault };
  }
  if (await removeDeviceBundle(site.layout, deviceId)) {
    steps.push({ kind: "bundle_removed", deviceId });
  }
  return { found: true, steps };
}
