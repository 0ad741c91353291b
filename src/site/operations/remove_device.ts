/**
 * Use case: a device is removed from the registry and at the broker, with its bundle.
 *
 * The rules are:
 * - the registry first: from then on the gateway refuses every message of the device;
 * - the bundle last, and only if the broker was told, with the mark that the removal has begun: while
 *   one of them is there, the same command again goes on where this one stopped, and the id is taken;
 * - a broker that does not run, or one of another gateway that is away, may have kept the device's
 *   session on the disk, with commands in it, for the next device of that id: the mark stays until the
 *   session was ended.
 */

import { ensureOwnedFolder } from "../../config/owned_file.ts";
import { writeWhole } from "../atomic_write.ts";
import { isDeviceId } from "../../core/device.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { BrokerStore } from "./list_publication.ts";
import { hasDeviceBundle, REMOVAL_PREFIX, removeDeviceBundle } from "./device_bundle.ts";
import { exists, ignoreMissing } from "../exists.ts";
import type { SiteLayout } from "../layout.ts";
import { withAuthorityLock } from "../pki/authority_rollover.ts";
import { clearLeftovers } from "./leftovers.ts";
import type { RevocationStep } from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";

/** One thing that was done or seen. */
export type RemoveDeviceStep =
  | { readonly kind: "device_removed"; readonly deviceId: string }
  | { readonly kind: "broker_not_running"; readonly reason: string }
  /** The broker may have its session on the disk; the id is taken until the command is run again. */
  | { readonly kind: "session_kept"; readonly deviceId: string }
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
  store: BrokerStore,
  site: OpenSite,
  deviceId: string,
): Promise<RemoveDeviceResult> {
  const { layout, nowMs } = site;
  const { registry } = store;
  const mark = `${layout.devicesFolder}/${REMOVAL_PREFIX}${deviceId}`;
  await withAuthorityLock(layout, () => clearLeftovers({ layout, registry, nowMs }));
  const isRegistered = await registry.find(deviceId) !== undefined;
  if (isRegistered) await writeMark(layout, mark);
  const isLeft = await hasDeviceBundle(layout, deviceId) || await exists(mark);
  if (!isRegistered && !(isDeviceId(deviceId) && isLeft)) return { found: false };
  const wasRegistered = await registry.remove(deviceId);
  const steps: RemoveDeviceStep[] = wasRegistered ? [{ kind: "device_removed", deviceId }] : [];
  const update = await updateBroker(store, site, {
    target: { deviceId, because: "removed" },
  });
  steps.push(...update.steps);
  // Nothing listens, so there is no connection to end; the lists are read when the broker starts.
  const isDown = update.fault?.kind === "broker_not_running";
  const isSessionKept = update.nodesLeft.length > 0 ||
    isDown && await exists(layout.brokerSessions);
  if (isDown) steps.push({ kind: "broker_not_running", reason: update.fault.reason });
  else if (update.fault) return { found: true, steps, fault: update.fault };
  if (isSessionKept) steps.push({ kind: "session_kept", deviceId });
  if (await removeDeviceBundle(site.layout, deviceId)) {
    steps.push({ kind: "bundle_removed", deviceId });
  }
  if (!isSessionKept) await Deno.remove(mark).catch(ignoreMissing);
  return { found: true, steps };
}

async function writeMark({ devicesFolder }: SiteLayout, path: string): Promise<void> {
  ensureOwnedFolder(devicesFolder);
  await writeWhole(path, "", 0o600);
}
