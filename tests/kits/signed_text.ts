/** Messages as the gateway signs them, and as somebody else would. */

import { importSecret, sign } from "../../src/core/signature.ts";
import { type SignedKind, signingInput } from "../../src/core/signing_input.ts";

/** The device of the cases. */
export const DEVICE = "sensor.kit_1";
export const SECRET = "kit-secret-of-sensor-1-äöü";
/** What stands for the time where none is known: the first of ten digits. */
export const NO_TIME = 1_000_000_000;
export const NOW = 1_727_712_000;
export const COMMAND_ID = "660f9500-f30c-42e5-b817-557766550001";

/** What is signed, each part of which a case may bend. */
export interface SignedText {
  readonly kind?: SignedKind;
  readonly device?: string;
  readonly secret?: string;
  readonly timestamp?: number | string;
  readonly id?: string;
  readonly payload?: string | Uint8Array<ArrayBuffer>;
}

/** The signature of a message, 64 hex digits. */
export async function signatureOf(text: SignedText): Promise<string> {
  const { kind = "message", device = DEVICE, secret = SECRET, id = COMMAND_ID, payload = "{}" } =
    text;
  const key = await importSecret(secret);
  if (key === undefined) throw new Error("an empty secret");
  const fields = { deviceId: device, timestamp: timestampOf(text), messageId: id };
  const bytes = typeof payload === "string" ? new TextEncoder().encode(payload) : payload;
  return await sign(key, signingInput(fields, bytes, kind));
}

/** A command or a receipt, in the form in which the gateway writes it. */
export async function signedText(text: SignedText, signature?: string): Promise<string> {
  const { id = COMMAND_ID, payload = "{}" } = text;
  return `{"timestamp":${timestampOf(text)},"message_id":"${id}","payload":${payload},` +
    `"signature":"${signature ?? await signatureOf(text)}"}`;
}

/** A reading or an acknowledgement, in the form in which a kit writes it. */
export async function deviceText(text: SignedText): Promise<string> {
  return `{"device_id":"${text.device ?? DEVICE}",${(await signedText(text)).slice(1)}`;
}

function timestampOf({ timestamp = NOW }: SignedText): string {
  return String(timestamp);
}
