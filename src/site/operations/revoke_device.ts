/** Use cases: a device is revoked, in the registry and at the broker, and restored. */

import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { BrokerStore } from "./list_publication.ts";
import type { RevocationStep } from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";
import { secondsOf } from "../../core/time.ts";

/** One thing that was done or seen. */
export type RevokeDeviceStep =
  | { readonly kind: "device_refused"; readonly deviceId: string }
  | {
    readonly kind: "device_restored";
    readonly deviceId: string;
    /** False if it was not revoked before. */
    readonly wasRevoked: boolean;
  }
  | RevocationStep;

/** What was done, in order, or that the registry has no such device. */
type RevokeDeviceResult =
  | { readonly found: false }
  | {
    readonly found: true;
    readonly steps: readonly RevokeDeviceStep[];
    readonly fault?: RevocationFault;
  };

/** Refuses a device in the registry, then at the broker, and ends its connection. */
export async function revokeDevice(
  store: BrokerStore,
  site: OpenSite,
  { deviceId, reason }: { readonly deviceId: string; readonly reason?: string },
): Promise<RevokeDeviceResult> {
  const device = await store.registry.find(deviceId);
  if (!device) return { found: false };
  await store.registry.revoke(deviceId, {
    revokedAt: secondsOf(site.nowMs),
    reason: reason ?? device.revokedReason ?? "",
  });
  const { steps, ...rest } = await updateBroker(store, site, {
    target: { deviceId, because: "revoked" },
  });
  return { found: true, steps: [{ kind: "device_refused", deviceId }, ...steps], ...rest };
}

/** Takes a revocation back, in the registry, then at the broker. */
export async function restoreDevice(
  store: BrokerStore,
  site: OpenSite,
  deviceId: string,
): Promise<RevokeDeviceResult> {
  if (!await store.registry.find(deviceId)) return { found: false };
  const wasRevoked = await store.registry.restore(deviceId);
  const { steps, ...rest } = await updateBroker(store, site);
  const restored = { kind: "device_restored", deviceId, wasRevoked } as const;
  return { found: true, steps: [restored, ...steps], ...rest };
}
