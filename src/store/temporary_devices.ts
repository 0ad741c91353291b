/** Devices that `doctor` adds for a moment: `doctor-` and a random UUID. */

const TEMPORARY_ID = /^doctor-[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$/;

/** True of an id that no device of a site has, and that is found again after a crash. */
export function isTemporaryId(deviceId: string): boolean {
  return TEMPORARY_ID.test(deviceId);
}

/** Those that a store names. */
export interface TemporaryDevices {
  /** The ids of all of them that the store names. */
  list(): Promise<string[]>;
  /** Removes one from the registry, the outbox, the dead letters and whatever else names it. */
  remove(deviceId: string): Promise<void>;
}
