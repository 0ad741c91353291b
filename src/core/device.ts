/** What a device may be called. The same rule holds for topics, certificates and the registry. */

/** Longest device id, in characters. */
const DEVICE_ID_MAX_CHARS = 64;

const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** The rule in words, for error messages. */
export const DEVICE_ID_RULE =
  `1 to ${DEVICE_ID_MAX_CHARS} letters, digits, "_", "." or "-", the first a letter or digit`;

/** True where `text` may name a device: `^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`. */
export function isDeviceId(text: string): boolean {
  return DEVICE_ID.test(text);
}

/** What the registry knows of one device when a message of it is judged. */
export type DeviceStatus = "unknown" | "active" | "revoked" | "expired";
