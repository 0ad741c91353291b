/** Commands: from the backend's JSON to a signed message that the broker has acknowledged. */

import { type SignedCommand, writeCommand } from "../../core/command.ts";
import { sign } from "../../core/signature.ts";
import { signingInput } from "../../core/signing_input.ts";
import { commandTopic } from "../../core/topic.ts";
import type { Clock } from "../../time/clock.ts";
import type { DeviceKeys } from "../../store/key_ring.ts";
import type { Published, PublishProperties } from "../broker/mqtt_broker.ts";

/** What became of a command. */
export type CommandResult =
  | {
    readonly kind: "sent";
    readonly messageId: string;
    /** Unix seconds. */
    readonly timestamp: number;
    /** False where the broker says that nobody listens on the device's command topic. */
    readonly subscribers: boolean;
  }
  | { readonly kind: "unknown_device" }
  | { readonly kind: "unsent"; readonly reason: string };

/** What a command needs on its way. */
export interface CommandParts {
  readonly clock: Clock;
  readonly keyRing: DeviceKeys;
  /** Makes a UUID version 4. */
  readonly messageId: () => string;
  /** After which the device would refuse the command, and the broker drops it. */
  readonly toleranceSeconds: number;
  publish(topic: string, message: Uint8Array, properties: PublishProperties): Promise<Published>;
}

/** Signs `payload` (compact JSON) for a device and publishes it. */
export async function sendCommand(
  deviceId: string,
  payload: Uint8Array,
  parts: CommandParts,
): Promise<CommandResult> {
  const nowSeconds = Math.floor(parts.clock.wallMs() / 1000);
  parts.keyRing.refresh();
  if (parts.keyRing.statusOf(deviceId, nowSeconds) !== "active") return { kind: "unknown_device" };
  const key = await parts.keyRing.key(deviceId, nowSeconds);
  if (key === undefined) return { kind: "unknown_device" };
  const fields = { deviceId, timestamp: String(nowSeconds), messageId: parts.messageId() };
  const signature = await sign(key, signingInput(fields, payload));
  const command: SignedCommand = { ...fields, payload, signature };
  const published = await parts.publish(commandTopic(deviceId), writeCommand(command), {
    messageExpiryInterval: parts.toleranceSeconds,
  });
  if (published.kind !== "acknowledged") return { kind: "unsent", reason: published.reason };
  const { subscribers } = published;
  return { kind: "sent", messageId: fields.messageId, timestamp: nowSeconds, subscribers };
}
