/** Valid device ids: one rule for topics, certificates and the registry. */

/** Longest device id, in characters. */
const DEVICE_ID_MAX_CHARS = 64;

const DEVICE_ID = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** The rule in words, for error messages. */
export const DEVICE_ID_RULE =
  `1 to ${DEVICE_ID_MAX_CHARS} letters, digits, "_", "." or "-", the first a letter or digit`;

/** True if `text` is a valid device id: `^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`. */
export function isDeviceId(text: string): boolean {
  return DEVICE_ID.test(text);
}

/** The files that go onto a device, by what is in them, as they are called in its folder. */
export const DEVICE_FILES = {
  ca: "ca.crt",
  certificate: "client.crt",
  key: "client.key",
  secret: "secret",
  description: "device.json",
} as const;

/** The registry's status of a device when its message is checked. */
export type DeviceStatus = "unknown" | "active" | "revoked" | "expired";
