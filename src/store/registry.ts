/** The registry as the rest of the program sees it, whatever engine has it. */

import type {
  DeviceCertificate,
  DeviceWithSecret,
  RevokedDeviceCertificate,
  SecretUse,
} from "./device_record.ts";
import type { NewDevice, RegistrationConflict } from "./registration.ts";

/** The registered devices, with their secrets and certificates. Times are Unix seconds. */
export interface RegistryStore {
  /**
   * A number that changes if anything in the registry does; cheap if nothing was written. Where the
   * commit that follows checks it, it may be the last that was seen.
   */
  revision(use?: { readonly isChecked: boolean }): Promise<number>;
  /** Every device, by id. */
  list(): Promise<DeviceWithSecret[]>;
  find(deviceId: string): Promise<DeviceWithSecret | undefined>;
  /** Why secrets cannot be opened with the keys that are here; undefined if they can. */
  missingSealingKeys(): Promise<string | undefined>;
  /** Registers all devices in one transaction, or none: resolves to every conflict. */
  addAll(devices: readonly NewDevice[]): Promise<RegistrationConflict[]>;
  /** Removes a device; its remembered ids stay, its certificates are withdrawn. False if unknown. */
  remove(deviceId: string): Promise<boolean>;
  /** Refuses everything of a device from now on; one that is revoked keeps its time. */
  revoke(deviceId: string, revocation: { revokedAt: number; reason: string }): Promise<void>;
  /** Takes a revocation back; false if there was none. */
  restore(deviceId: string): Promise<boolean>;
  /** Who has which secret, now or until its overlap ends; without those that cannot be opened. */
  secretHolders(): Promise<Map<string, string>>;
  /** Gives a device a new secret; the one it uses now is good until `until`. */
  rotateSecret(deviceId: string, sharedSecret: string, options: { until: number }): Promise<void>;
  /** The previous secret is good until `now` at most. */
  endOverlap(deviceId: string, now: number): Promise<void>;
  /** When each secret of a device was last used, or of all devices. */
  secretUses(deviceId?: string): Promise<SecretUse[]>;
  /** Records when secrets were used, except for devices that are gone by now. */
  recordUses(uses: readonly SecretUse[]): Promise<void>;
  addCertificate(deviceId: string, certificate: DeviceCertificate): Promise<void>;
  /** Withdraws every certificate of a device but the one of `serial`; resolves to how many. */
  withdrawOthers(deviceId: string, serial: string, now: number): Promise<number>;
  /** Withdraws one certificate; false if it is not known, or was withdrawn. */
  withdrawCertificate(serial: string, now: number): Promise<boolean>;
  /** Withdraws every certificate that is known to come from another authority. */
  withdrawIssuedByOthers(issuer: string, now: number): Promise<void>;
  /** The certificates of a device that it may use, the one that was issued last first. */
  certificates(deviceId: string): Promise<DeviceCertificate[]>;
  /** Devices that are not revoked, with the end of their newest certificate, if it is known. */
  certificateEnds(): Promise<{ deviceId: string; notAfter: number }[]>;
  /** Every certificate that belongs on a revocation list: those that ended before `since` do not. */
  revokedCertificates(since: number): Promise<RevokedDeviceCertificate[]>;
  /** The number for the next revocation list, higher than every one before. */
  nextRevocationListNumber(): Promise<number>;
}
