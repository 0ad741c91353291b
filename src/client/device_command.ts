/** A command, as a device takes it apart: the payload is cut out of the message, never rewritten. */

import { FAULT, JsonScanner } from "../core/json_scanner.ts";
import { bytesOfHex, type SecretKey, verify } from "../core/signature.ts";
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
const DEPTH_MAX = 64;

/** Reads a command and checks its signature and freshness; throws if it is not JSON. */
export function readDeviceCommand(
  message: Uint8Array,
  options: { deviceId: string; key: SecretKey; nowSeconds: number },
): DeviceCommand {
  const raw = text(message);
  const { timestamp, message_id: messageId, signature } = JSON.parse(raw);
  const payload = payloadOf(message);
  const fields = { deviceId: options.deviceId, timestamp: String(timestamp), messageId };
  const signed = verify(
    options.key,
    signingInput(fields, payload),
    bytesOfHex(String(signature)) ?? new Uint8Array(),
  );
  const fresh = Math.abs(options.nowSeconds - timestamp) <= TOLERANCE_SECONDS;
  return { payload: text(payload), messageId, timestamp, valid: signed && fresh, raw };
}

/** The bytes of the value named "payload" in the one object that `message` is. */
function payloadOf(message: Uint8Array): Uint8Array {
  const scanner = new JsonScanner(message, DEPTH_MAX);
  let at = scanner.space(scanner.space(0) + 1);
  while (message[at] !== undefined) {
    const nameEnd = scanner.string(at);
    const start = scanner.space(scanner.space(nameEnd) + 1); // past the colon
    const end = scanner.value(start);
    if (nameEnd === FAULT || end === FAULT) break;
    if (text(message.subarray(at, nameEnd)) === '"payload"') return message.subarray(start, end);
    at = scanner.space(scanner.space(end) + 1); // past the comma
  }
  throw new Error("Cannot read the command: it has no payload");
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
