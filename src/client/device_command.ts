/** A command, as a device takes it apart: the payload is cut out of the message, never rewritten. */

import { bytesOfHex, type SecretKey, verify } from "../core/signature.ts";
import { jsonMember } from "./json_member.ts";
import { signingInput } from "../core/signing_input.ts";

/** A command and what the device thinks of it. */
export interface DeviceCommand {
  /** The payload's text exactly as it is in the message. */
  readonly payload: string;
  readonly messageId: string;
  /** Unix seconds. */
  readonly timestamp: number;
  /** True if the signature is the gateway's and the timestamp is in range. */
  readonly valid: boolean;
  /** The whole message. */
  readonly raw: string;
}

/** How far a command's timestamp may be from now, either way. */
const TOLERANCE_SECONDS = 300;

/** Reads a command and checks its signature and freshness; throws if it is not JSON. */
export async function readDeviceCommand(
  message: Uint8Array,
  options: { deviceId: string; key: SecretKey; nowSeconds: number },
): Promise<DeviceCommand> {
  const raw = text(message);
  const { timestamp, message_id: messageId, signature } = JSON.parse(raw);
  const payload = jsonMember(message, "payload");
  if (payload === undefined) throw new Error("Cannot read the command: it has no payload");
  const fields = { deviceId: options.deviceId, timestamp: String(timestamp), messageId };
  const signed = await verify(
    options.key,
    signingInput(fields, payload),
    bytesOfHex(String(signature)) ?? new Uint8Array(),
  );
  const fresh = Math.abs(options.nowSeconds - timestamp) <= TOLERANCE_SECONDS;
  return { payload: text(payload), messageId, timestamp, valid: signed && fresh, raw };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
