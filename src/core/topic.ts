/**
 * The five topics of a device.
 *
 * The rules are:
 * - the device publishes to `device/{id}/data` and `device/{id}/ack`, the gateway to
 *   `device/{id}/response`, `device/{id}/command` and `device/{id}/receipt`, and nothing else exists;
 * - the broker lets only the certificate with CN={id} publish to the first two, so the second level
 *   of a topic that the gateway receives *is* the TLS identity of the publisher.
 */

/** What the gateway subscribes to: the data topic of every device. */
export const DATA_TOPIC_FILTER = "device/+/data";

/** The same for what devices say of commands. */
export const ACK_TOPIC_FILTER = "device/+/ack";

/**
 * The gateway sends a message to itself here: when it comes back, no older message waits in the
 * broker. Only the gateway's own access list, on its own listener, allows this topic.
 */
export const MARKER_TOPIC = "gateway/caught_up";

/** The broker's own count of messages that it has dropped; for the gateway only. */
export const DROPPED_TOPIC = "$SYS/broker/publish/messages/dropped";

/** The data topic of one device. */
export function dataTopic(deviceId: string): string {
  return `device/${deviceId}/data`;
}

/** Where the backend's answer to a device goes. */
export function responseTopic(deviceId: string): string {
  return `device/${deviceId}/response`;
}

/** Where a signed command to a device goes. */
export function commandTopic(deviceId: string): string {
  return `device/${deviceId}/command`;
}

/** Where a device acknowledges its commands. */
export function ackTopic(deviceId: string): string {
  return `device/${deviceId}/ack`;
}

/** Where a device learns what became of its readings, signed. */
export function receiptTopic(deviceId: string): string {
  return `device/${deviceId}/receipt`;
}

/** What comes from devices. */
export type InboundKind = "reading" | "acknowledgement";

/**
 * What a topic brings, and the TLS identity behind it: its second level, unchanged and not checked
 * against the device id rule (an odd CN is refused later, because no device id matches it); empty
 * for a topic that no device has.
 */
export function originOf(topic: string): { readonly kind: InboundKind; readonly identity: string } {
  const [device, identity = "", kind, ...more] = topic.split("/");
  const isOfDevice = device === "device" && more.length === 0;
  if (isOfDevice && kind === "data") return { kind: "reading", identity };
  if (isOfDevice && kind === "ack") return { kind: "acknowledgement", identity };
  return { kind: "reading", identity: "" };
}
