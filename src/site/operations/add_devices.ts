/** Use cases: devices are added with a certificate and a bundle, or adopted from another registry. */

import type { RegistryStore } from "../../store/registry.ts";
import type { SiteLayout } from "../layout.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { BrokerStore } from "./list_publication.ts";
import { bundleNames, unfinishedRemoval } from "./device_bundle.ts";
import { registerDevices } from "./device_registration.ts";
import { enrolDevices, type EnrolmentRequest } from "./enrolment.ts";
import { type EnrolmentFault, enrolmentFaults } from "./enrolment_fault.ts";

/** A device that was added, and the folder or file that goes onto it. */
export interface AddedDevice {
  readonly deviceId: string;
  readonly bundle: string;
}

/** Every device that was added, in the order of the requests, or every reason why none was. */
type AddDevicesResult =
  | { readonly ok: true; readonly devices: readonly AddedDevice[] }
  | { readonly ok: false; readonly faults: readonly EnrolmentFault[] };

/** A device of another registry, with its own secret. */
interface ForeignDevice {
  readonly deviceId: string;
  readonly secret: string;
  /** Unix seconds; undefined if it is not known. */
  readonly createdAt: number | undefined;
  /** What keeps it from being a device; undefined if nothing does. */
  readonly damage: string | undefined;
}

/** How many were adopted and how many were registered with this secret before, or why none was. */
type AdoptDevicesResult =
  | { readonly ok: true; readonly adopted: number; readonly present: number }
  | { readonly ok: false; readonly faults: readonly EnrolmentFault[] };

/** Adds all devices, or none; `progress` is told how many certificates are made. */
export async function addDevices(
  store: BrokerStore,
  site: OpenSite,
  { requests, progress }: {
    readonly requests: readonly EnrolmentRequest[];
    progress?(done: number): void;
  },
): Promise<AddDevicesResult> {
  const result = await enrolDevices(requests, {
    layout: site.layout,
    nowMs: site.nowMs,
    brokerHost: site.config.devices.host,
    mqttPort: site.config.devices.port,
    registry: store.registry,
    // A broker that cannot be told has the list for its next start.
    onWithdrawn: () => updateBroker(store, site, { waits: false }),
    ...(progress && { progress }),
  });
  if (!result.ok) return result;
  const devices = requests.map(({ deviceId }, i) => ({ deviceId, bundle: result.places[i]! }));
  return { ok: true, devices };
}

/** Registers all devices of another registry with their own secrets and no certificate, or none. */
export async function adoptDevices(
  registry: RegistryStore,
  layout: SiteLayout,
  devices: readonly ForeignDevice[],
): Promise<AdoptDevicesResult> {
  const holders = await registry.secretHolders();
  const isNew = devices.map(({ deviceId, secret }) => holders.get(secret) !== deviceId);
  const places = [...devices.keys()].filter((place) => isNew[place]);
  const added = places.map((place) => devices[place]!);
  const known = await faultsOf(added, registry, await bundleNames(layout));
  const faults = known.length > 0 ? known : await registerDevices(
    registry,
    added.map(({ deviceId, secret: sharedSecret, createdAt }) => {
      return { deviceId, sharedSecret, createdAt };
    }),
  );
  if (faults.length === 0) {
    return { ok: true, adopted: places.length, present: devices.length - places.length };
  }
  // Counted among all devices, not only among the new ones.
  const counted = faults.map((fault) => ({
    ...fault,
    place: fault.place === undefined ? undefined : places[fault.place],
  }));
  return { ok: false, faults: counted };
}

/** One fault for each device that has any; a damaged row's is its damage. */
async function faultsOf(
  devices: readonly ForeignDevice[],
  registry: RegistryStore,
  names: ReadonlyMap<string, string>,
): Promise<EnrolmentFault[]> {
  const others = await enrolmentFaults(devices, registry);
  const byPlace = new Map(others.map((fault) => [fault.place, fault]));
  for (const [place, { deviceId, damage }] of devices.entries()) {
    const removed = unfinishedRemoval(deviceId, names);
    if (removed !== undefined) {
      byPlace.set(place, { place, kind: "removal_unfinished", deviceId: removed });
    }
    if (damage !== undefined) byPlace.set(place, { place, kind: "damaged_row", reason: damage });
  }
  return [...byPlace.values()].sort((a, b) => (a.place ?? 0) - (b.place ?? 0));
}
