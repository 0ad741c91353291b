/**
 * The signed message, from bytes to an `Envelope`.
 *
 * The rules are:
 * - one JSON object of exactly five fields, each once, in any order: `device_id`, `timestamp`,
 *   `message_id`, `payload`, `signature`; a sixth is refused: nothing signs it;
 * - the payload is cut out of the message, never parsed and written again;
 * - an error names the position of the fault, and never quotes the text at that position.
 */

import { isDeviceId } from "./device.ts";
import { compactJson, FAULT, isUtf8, JsonScanner } from "./json_scanner.ts";
import { reject, type Rejection } from "./rejection.ts";
import { bytesOfHex, SIGNATURE_BYTES } from "./signature.ts";
import type { SignedFields } from "./signing_input.ts";

/** Largest message, in bytes. */
export const MESSAGE_MAX_BYTES = 65_536;

/** Deepest nesting inside a payload; the payload's own brackets are the first level. */
export const PAYLOAD_DEPTH_MAX = 64;

const TIMESTAMP = /^[1-9][0-9]{9}$/;
const UUID_V4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/i;

/** A well-formed message whose signature is not verified yet. */
export interface Envelope extends SignedFields {
  readonly kind: "envelope";
  /** Unix seconds; `timestamp` as a number. */
  readonly timestampSeconds: number;
  /** The payload exactly as in the message. */
  readonly payload: Uint8Array;
  /** The payload without insignificant white space; the same array if there was none. */
  readonly compactPayload: Uint8Array;
  /** 32 bytes. */
  readonly signature: Uint8Array<ArrayBuffer>;
}

const FIELDS = ["device_id", "timestamp", "message_id", "payload", "signature"] as const;
type Field = typeof FIELDS[number];

/** Where each field's value starts and ends. */
type Spans = Partial<Record<Field, readonly [start: number, end: number]>>;

/** Reads a message; total: any bytes give an envelope or a `malformed` rejection. */
export function readEnvelope(bytes: Uint8Array): Envelope | Rejection {
  if (bytes.length > MESSAGE_MAX_BYTES) {
    return malformed(`${bytes.length} bytes, at most ${MESSAGE_MAX_BYTES} allowed`);
  }
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) {
    return malformed("byte order mark, at byte 0");
  }
  const scanner = new JsonScanner(bytes, PAYLOAD_DEPTH_MAX);
  const spans: Spans = {};
  let payloadSpaces = 0;
  const end = scanFields(scanner, (field, start, next, spaces) => {
    spans[field] = [start, next];
    if (field === "payload") payloadSpaces = spaces;
  });
  if (end === FAULT) {
    const { what, at } = scanner.fault!;
    return malformed(`${what}, at byte ${at}`, messageIdOf(bytes, spans));
  }
  if (scanner.nonAscii && !isUtf8(bytes)) {
    return malformed("not UTF-8, inside a string", messageIdOf(bytes, spans));
  }
  return assemble(bytes, spans, payloadSpaces > 0);
}

/** `scanFields` calls it for each field: its value's span, and the white space inside the value. */
type OnField = (field: Field, start: number, end: number, spaces: number) => void;

/** Scans the one object of a message and reports its fields; refuses a repeated or unknown one. */
function scanFields(scanner: JsonScanner, onField: OnField): number {
  const { bytes } = scanner;
  let seen = 0;
  let at = scanner.space(0);
  if (bytes[at] !== 0x7b) return scanner.fail("not a JSON object", at);
  at = scanner.space(at + 1);
  while (true) {
    const nameEnd = scanner.string(at);
    if (nameEnd === FAULT) return FAULT;
    const field = fieldOf(bytes, at, nameEnd);
    if (field === undefined) return scanner.fail("a field that is not part of a message", at);
    const bit = 1 << FIELDS.indexOf(field);
    if (seen & bit) return scanner.fail(`"${field}" appears twice`, at);
    seen |= bit;
    at = scanner.space(nameEnd);
    if (bytes[at] !== 0x3a) return scanner.unexpected(at);
    at = scanner.space(at + 1);
    const spacesBefore = scanner.spaces;
    const end = scanner.value(at);
    if (end === FAULT) return FAULT;
    onField(field, at, end, scanner.spaces - spacesBefore);
    at = scanner.space(end);
    if (bytes[at] === 0x7d) break;
    if (bytes[at] !== 0x2c) return scanner.unexpected(at);
    at = scanner.space(at + 1);
  }
  const end = scanner.space(at + 1);
  return end === bytes.length ? end : scanner.fail("text after the object", end);
}

/** Turns the fields' spans into an envelope, each decoded strictly. */
function assemble(bytes: Uint8Array, spans: Spans, spaced: boolean): Envelope | Rejection {
  const messageId = messageIdOf(bytes, spans);
  const fault = (detail: string) => malformed(detail, messageId);
  const misshapen = (field: Field, what: string) =>
    fault(`"${field}" ${what}, at byte ${spans[field]![0]}`);
  for (const field of FIELDS) {
    if (spans[field] === undefined) return fault(`"${field}" is missing, in the object`);
  }
  const timestamp = textOf(bytes, spans.timestamp!);
  if (!TIMESTAMP.test(timestamp)) return misshapen("timestamp", "is not a number of ten digits");
  if (messageId === undefined) return misshapen("message_id", "is not a UUID version 4");
  const signature = bytesOfHex(stringOf(bytes, spans.signature!) ?? "");
  if (signature?.length !== SIGNATURE_BYTES) {
    return misshapen("signature", `is not ${2 * SIGNATURE_BYTES} hex digits`);
  }
  const deviceId = stringOf(bytes, spans.device_id!);
  if (deviceId === undefined || !isDeviceId(deviceId)) {
    return misshapen("device_id", "is not a device id");
  }
  const payload = bytes.subarray(...spans.payload!);
  return {
    kind: "envelope",
    deviceId,
    timestamp,
    timestampSeconds: Number(timestamp),
    messageId,
    payload,
    compactPayload: spaced ? compactJson(payload) : payload,
    signature,
  };
}

function malformed(detail: string, messageId?: string): Rejection {
  return { ...reject("malformed", detail), ...(messageId !== undefined && { messageId }) };
}

/** The message's id; undefined if there is none that is a UUID version 4. */
function messageIdOf(bytes: Uint8Array, { message_id: span }: Spans): string | undefined {
  const text = span && stringOf(bytes, span);
  return text !== undefined && UUID_V4.test(text) ? text : undefined;
}

/** The field with this name; the name may be escaped, as any JSON string. */
function fieldOf(bytes: Uint8Array, start: number, end: number): Field | undefined {
  const name = stringOf(bytes, [start, end]);
  return name === undefined ? undefined : BY_NAME.get(name);
}

const BY_NAME = new Map<string, Field>(FIELDS.map((field) => [field, field]));

/** Longest string value that any of the four short fields can have, with every character escaped. */
const SHORT_STRING_MAX_BYTES = 2 + 6 * 2 * SIGNATURE_BYTES;

/** The value of a scanned JSON string; undefined if it is not a string, or is too long. */
function stringOf(
  bytes: Uint8Array,
  span: readonly [start: number, end: number],
): string | undefined {
  const [start, end] = span;
  if (bytes[start] !== 0x22 || end - start > SHORT_STRING_MAX_BYTES) return undefined;
  const text = textOf(bytes, [start + 1, end - 1]);
  return text.includes("\\") ? JSON.parse(`"${text}"`) : text;
}

/** A short span as Latin-1 text, one byte per character; a longer one is cut: it fits no field. */
function textOf(bytes: Uint8Array, span: readonly [start: number, end: number]): string {
  const [start, end] = span;
  const length = Math.min(end - start, SHORT_STRING_MAX_BYTES);
  const codes = new Array<number>(length); // ten times as fast as spreading the bytes
  for (let i = 0; i < length; i++) codes[i] = bytes[start + i]!;
  return String.fromCharCode.apply(null, codes);
}
