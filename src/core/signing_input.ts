/**
 * The bytes under the HMAC. Nothing else in the project builds them.
 *
 * The rules are:
 * - signing input = device_id + timestamp + message_id + payload, all UTF-8, nothing between them;
 *   of every kind but readings and commands a word and a colon come before it: no device id has a
 *   colon, and digits follow it, so no input of one kind is an input of another;
 * - of a response the status, three digits, and the body are where the payload is;
 * - timestamp and message_id are their text in the message, the payload its text in the message;
 * - the fields cannot run into each other: a timestamp has exactly ten digits and a message_id
 *   exactly 36 characters, so every boundary after the device_id is at a fixed place.
 */

/** The fields that a signature covers, in the order in which they are signed. */
export interface SignedFields {
  readonly deviceId: string;
  /** Ten digits, as in the message. */
  readonly timestamp: string;
  /** 36 characters, as in the message. */
  readonly messageId: string;
}

/** What is signed: a reading and a command have the same form, and their ids keep them apart. */
export type SignedKind = "message" | "acknowledgement" | "receipt" | "response";

const PREFIXES: { readonly [K in SignedKind]: string } = {
  message: "",
  acknowledgement: "ack:",
  receipt: "receipt:",
  response: "response:",
};

const UTF_8 = new TextEncoder();

/** The exact bytes that are signed for `fields` with `payload`, JSON text in UTF-8. */
export function signingInput(
  fields: SignedFields,
  payload: Uint8Array,
  kind: SignedKind = "message",
): Uint8Array<ArrayBuffer> {
  const { deviceId, timestamp, messageId } = fields;
  const head = UTF_8.encode(PREFIXES[kind] + deviceId + timestamp + messageId);
  const input = new Uint8Array(head.length + payload.length);
  input.set(head);
  input.set(payload, head.length);
  return input;
}
