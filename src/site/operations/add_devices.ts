/** Use cases: devices are added with a certificate and a bundle, or adopted from another registry. */

import type { Registry } from "../../store/sqlite/registry.ts";
import type { OpenSite } from "./broker_access.ts";
import { registerDevices } from "./device_registration.ts";
import { enrolDevices, type EnrolmentRequest } from "./enrolment.ts";
import type { EnrolmentFault } from "./enrolment_fault.ts";

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
}

/** How many were adopted and how many were registered with this secret before, or why none was. */
type AdoptDevicesResult =
  | { readonly ok: true; readonly adopted: number; readonly present: number }
  | { readonly ok: false; readonly faults: readonly EnrolmentFault[] };

/** Adds all devices, or none; `progress` is told how many certificates are made. */
export async function addDevices(
  registry: Registry,
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
    registry,
    ...(progress && { progress }),
  });
  if (!result.ok) return result;
  const devices = requests.map(({ deviceId }, i) => ({ deviceId, bundle: result.places[i]! }));
  return { ok: true, devices };
}

/** Registers all devices of another registry with their own secrets and no certificate, or none. */
export function adoptDevices(
  registry: Registry,
  devices: readonly ForeignDevice[],
): AdoptDevicesResult {
  const holders = registry.secretHolders();
  const isNew = devices.map(({ deviceId, secret }) => holders.get(secret) !== deviceId);
  const places = [...devices.keys()].filter((place) => isNew[place]);
  const faults = registerDevices(
    registry,
    places.map((place) => {
      const { deviceId, secret: sharedSecret, createdAt } = devices[place]!;
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
