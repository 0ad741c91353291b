/** Registering devices: all of them or none. */

import type { NewDevice, RegistrationConflict } from "../../store/registration.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { type EnrolmentFault, type EnrolmentFaultKind, notRegistered } from "./enrolment_fault.ts";

/** Registers all devices; resolves to why none was. */
export async function registerDevices(
  registry: RegistryStore,
  devices: readonly NewDevice[],
): Promise<readonly EnrolmentFault[]> {
  try {
    const conflicts = await registry.addAll(devices);
    return conflicts.map((conflict) => {
      const { place } = conflict;
      return { place, ...faultOf(devices[place]!.deviceId, conflict) };
    });
  } catch (error) {
    return [notRegistered(error as Error)];
  }
}

function faultOf(deviceId: string, conflict: RegistrationConflict): EnrolmentFaultKind {
  if (conflict.kind === "secret_taken") {
    return { kind: "secret_taken", deviceId, holder: conflict.holder };
  }
  const { existing } = conflict;
  return existing === deviceId
    ? { kind: "already_registered", deviceId }
    : { kind: "differs_only_in_case", deviceId, existing };
}
