/** What keeps devices from being registered together, by whatever engine has the registry. */

import type { DeviceCertificate } from "./device_record.ts";

/** A device to be registered; one without a certificate comes from elsewhere. */
export interface NewDevice {
  readonly deviceId: string;
  readonly sharedSecret: string;
  /** Unix seconds; undefined if it is not known. */
  readonly createdAt: number | undefined;
  readonly certificate?: DeviceCertificate;
}

/** An id or a secret that a registered device has, or an earlier one of the same list. */
export type RegistrationConflict =
  & {
    /** Which of the devices, from 0. */
    readonly place: number;
  }
  & (
    /** `existing`: the same id, or one that differs only in case. */
    | { readonly kind: "id_taken"; readonly existing: string }
    | { readonly kind: "secret_taken"; readonly holder: string }
  );

/** What conflicts among `devices`, and with the ids and secrets of those that are registered. */
export function registrationConflicts(
  devices: readonly NewDevice[],
  registered: { readonly ids: readonly string[]; readonly holders: ReadonlyMap<string, string> },
): RegistrationConflict[] {
  const ids = new Map(registered.ids.map((id) => [id.toLowerCase(), id]));
  const holders = new Map(registered.holders);
  return devices.flatMap(({ deviceId, sharedSecret }, place): RegistrationConflict[] => {
    const existing = ids.get(deviceId.toLowerCase());
    const holder = holders.get(sharedSecret);
    ids.set(deviceId.toLowerCase(), deviceId);
    holders.set(sharedSecret, deviceId);
    if (existing !== undefined) return [{ place, kind: "id_taken", existing }];
    return holder === undefined ? [] : [{ place, kind: "secret_taken", holder }];
  });
}
