/**
 * What comes signed from the gateway, as a device takes it apart: the payload is cut out of the
 * message, never rewritten.
 */

import { bytesOfHex, type SecretKey, verify } from "../core/signature.ts";
import { jsonMember } from "./json_member.ts";
import { type SignedKind, signingInput } from "../core/signing_input.ts";

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

/** A receipt and what the device thinks of it. */
export interface DeviceReceipt {
  /** The payload's text exactly as it is in the message. */
  readonly payload: string;
  /** Of the message that it is about; the nil UUID if the gateway could not read its id. */
  readonly messageId: string;
  /** The gateway's clock, Unix seconds. */
  readonly timestamp: number;
  /** True if the signature is the gateway's. */
  readonly valid: boolean;
}

/** Whose it is, and under which key. */
interface Recipient {
  readonly deviceId: string;
  readonly key: SecretKey;
}

/** Reads a command and checks its signature and freshness; throws if it is not JSON. */
export async function readDeviceCommand(
  message: Uint8Array,
  { nowSeconds, ...recipient }: Recipient & { readonly nowSeconds: number },
): Promise<DeviceCommand> {
  const { raw, ...command } = await readSigned(message, recipient, "message");
  const fresh = Math.abs(nowSeconds - command.timestamp) <= TOLERANCE_SECONDS;
  return { ...command, valid: command.valid && fresh, raw };
}

/** Reads a receipt and checks its signature; throws if it is not JSON. */
export async function readDeviceReceipt(
  message: Uint8Array,
  recipient: Recipient,
): Promise<DeviceReceipt> {
  const { raw: _, ...receipt } = await readSigned(message, recipient, "receipt");
  return receipt;
}

async function readSigned(message: Uint8Array, { deviceId, key }: Recipient, kind: SignedKind) {
  const raw = text(message);
  const { timestamp, message_id: messageId, signature } = JSON.parse(raw);
  const payload = jsonMember(message, "payload");
  if (payload === undefined) throw new Error("Cannot read the message: it has no payload");
  const input = signingInput({ deviceId, timestamp: String(timestamp), messageId }, payload, kind);
  const valid = await verify(key, input, bytesOfHex(String(signature)) ?? new Uint8Array());
  return { payload: text(payload), messageId, timestamp, valid, raw };
}

function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
}
