/** Registering devices: all in one transaction, checked in it once more. */

import type { DeviceCertificate } from "../../store/device_record.ts";
import type { Registry } from "../../store/sqlite/registry.ts";
import { type EnrolmentFault, enrolmentFaults } from "./enrolment_fault.ts";

/** A device for the registry. */
interface NewDevice {
  readonly deviceId: string;
  readonly sharedSecret: string;
  /** Unix seconds; undefined if it is not known. */
  readonly createdAt: number | undefined;
  /** Absent if it comes from elsewhere. */
  readonly certificate?: DeviceCertificate;
}

/** Registers all devices, and runs `place` right before the commit; returns why none was. */
export function registerDevices(
  registry: Registry,
  devices: readonly NewDevice[],
  { place }: { place?(): void } = {},
): readonly EnrolmentFault[] {
  let faults: readonly EnrolmentFault[] = [];
  const check = () => {
    // Once more, in the transaction: another process may have come first.
    faults = enrolmentFaults(
      devices.map(({ deviceId, sharedSecret: secret }) => ({ deviceId, secret })),
      registry,
    );
    if (faults.length > 0) throw new Error("Some devices cannot be registered");
  };
  try {
    registry.addAll(devices, { check, ...(place && { place }) });
    return [];
  } catch (error) {
    if (faults.length > 0) return faults;
    return [{ place: undefined, kind: "not_registered", reason: (error as Error).message }];
  }
}
