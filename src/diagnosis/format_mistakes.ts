/**
 * Why a message is malformed: the usual mistakes of those who write one by hand, and the message
 * repaired as far as it can be, so that what else is wrong shows at once.
 */

import { PAYLOAD_DEPTH_MAX } from "../core/envelope.ts";
import { FAULT, JsonScanner } from "../core/json_scanner.ts";
import { bytesOfHex, SIGNATURE_BYTES } from "../core/signature.ts";
import { DAY_SECONDS } from "../core/time.ts";
import { bytesOfBase64 } from "./signing_keys.ts";
import { repairText } from "./text_repairs.ts";

/** What is wrong with a malformed message, and the message without it. */
interface Repaired {
  /** A sentence each. */
  readonly mistakes: readonly string[];
  /** Undefined if nothing could be repaired. */
  readonly repaired: Uint8Array | undefined;
  /** The timestamp's text before it was repaired; undefined if it was not. */
  readonly unrepairedTimestamp: string | undefined;
}

/** Finds the likely mistakes in a malformed message; total: any bytes give an answer. */
export function formatMistakes(message: Uint8Array, nowSeconds: number): Repaired {
  const { bytes, mistakes: textMistakes } = repairText(message);
  const mistakes = [...textMistakes];
  const grammar = bytes.length === 0 ? "The message is empty" : grammarMistake(bytes);
  if (grammar !== undefined) {
    mistakes.push(grammar);
    return { mistakes, repaired: undefined, unrepairedTimestamp: undefined };
  }
  const fields = fieldsOf(bytes);
  mistakes.push(...fieldNamesMistakes(fields));
  const repairs: Repair[] = [];
  for (const [name, look] of Object.entries(LOOKS)) {
    const field = fields.get(name);
    const finding = field && look(field.text, nowSeconds);
    if (finding === undefined) continue;
    mistakes.push(finding.mistake);
    if (finding.repaired !== undefined) repairs.push({ ...field!, repaired: finding.repaired });
  }
  const repairedTimestamp = repairs.find(({ name }) => name === "timestamp");
  return {
    mistakes,
    repaired: bytes !== message || repairs.length > 0 ? withRepairs(bytes, repairs) : undefined,
    unrepairedTimestamp: repairedTimestamp && unquoted(repairedTimestamp.text),
  };
}

/** The names of a message's fields in their order; empty if it is not an object. */
export function fieldNamesOf(bytes: Uint8Array): string[] {
  return [...fieldsOf(bytes).keys()];
}

/** A field of the message's object: the text of its value, and where it is. */
interface Field {
  readonly name: string;
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

interface Repair extends Field {
  readonly repaired: string;
}

interface Finding {
  readonly mistake: string;
  /** The value as it should be; undefined if that cannot be known. */
  readonly repaired?: string;
}

const GRAMMAR_SLIPS: readonly [before: RegExp, at: RegExp, mistake: string][] = [
  [
    /$/,
    /^'/,
    "JSON has double quotation marks: in Python, write a message with json.dumps, not with str",
  ],
  [
    /$/,
    /^-?(nan|inf)/i,
    "JSON has no NaN and no infinity: leave the value out, or send null",
  ],
  [/$/, /^(True|False|None)/, "JSON has true, false and null: in Python, use json.dumps"],
  [
    /[0-9],$/,
    /^[0-9]/,
    "JSON has a decimal point, no comma: format numbers without the system's locale",
  ],
  [
    /\[$/,
    /^object /,
    "[object Object] is JavaScript's text of an object: use JSON.stringify",
  ],
  [/$/, /^undefined/, "JSON has no undefined: leave the value out, or send null"],
  [/,\s*$/, /^[}\]]/, "JSON has no comma after the last element"],
  [/$/, /^\0/, "A zero byte follows the message: send strlen() bytes, not the C string's end"],
];

/** How much is looked at on either side of a fault, bytes. */
const AROUND_BYTES = 16;

function grammarMistake(bytes: Uint8Array): string | undefined {
  const scanner = new JsonScanner(bytes, PAYLOAD_DEPTH_MAX + 1);
  const end = scanner.value(scanner.space(0));
  const at = end === FAULT ? scanner.fault!.at : scanner.space(end);
  const before = text(bytes.subarray(Math.max(0, at - AROUND_BYTES), at));
  const after = text(bytes.subarray(at, at + AROUND_BYTES));
  return GRAMMAR_SLIPS.find(([b, a]) => b.test(before) && a.test(after))?.[2];
}

/** The fields of the one object that `bytes` are, whatever they are called; the first of a name. */
function fieldsOf(bytes: Uint8Array): Map<string, Field> {
  const fields = new Map<string, Field>();
  const scanner = new JsonScanner(bytes, PAYLOAD_DEPTH_MAX);
  let at = scanner.space(0);
  while (bytes[at] === 0x7b || bytes[at] === 0x2c) { // { or ,
    const nameStart = scanner.space(at + 1);
    const nameEnd = scanner.string(nameStart);
    if (nameEnd === FAULT) break;
    const colon = scanner.space(nameEnd);
    if (bytes[colon] !== 0x3a) break;
    const start = scanner.space(colon + 1);
    const end = scanner.value(start);
    if (end === FAULT) break;
    const name = unquoted(new TextDecoder().decode(bytes.subarray(nameStart, nameEnd)));
    if (!fields.has(name)) {
      fields.set(name, { name, start, end, text: text(bytes.subarray(start, end)) });
    }
    at = scanner.space(end);
  }
  return fields;
}

function fieldNamesMistakes(fields: ReadonlyMap<string, Field>): string[] {
  const known = ["device_id", "timestamp", "message_id", "payload", "signature"];
  if (fields.size === 4 && known.slice(1).every((name) => fields.has(name))) {
    return ["Without device_id this is a command, which the gateway sends and a device verifies"];
  }
  return [...fields.keys()].filter((name) => !known.includes(name)).map((name) =>
    `"${name}" is not a field of a message and would not be signed: put it into the payload`
  );
}

/** What may be wrong with the value of a field. */
const LOOKS: Record<string, (text: string, nowSeconds: number) => Finding | undefined> = {
  timestamp: lookAtTimestamp,
  message_id: lookAtMessageId,
  signature: lookAtSignature,
};

/** 2000-01-01, from which some boards count. */
const YEAR_2000_SECONDS = 946_684_800;

const FRACTIONS_OF_SECONDS: Readonly<Record<number, string>> = {
  13: "milliseconds",
  16: "microseconds",
  19: "nanoseconds",
};

function lookAtTimestamp(text: string, nowSeconds: number): Finding | undefined {
  const digits = unquoted(text);
  const repaired = digits.slice(0, 10);
  const unit = /^[0-9]+$/.test(digits) ? FRACTIONS_OF_SECONDS[digits.length] : undefined;
  if (unit !== undefined) {
    return { mistake: `The timestamp is in ${unit}: send seconds, ten digits`, repaired };
  }
  if (/^[0-9]{10}[.,][0-9]+$/.test(digits)) {
    return { mistake: "The timestamp has a fraction: send whole seconds, ten digits", repaired };
  }
  if (/^[0-9](\.[0-9]+)?e\+?0?9$/i.test(digits)) {
    return {
      mistake: "The timestamp has an exponent: send whole seconds, ten digits",
      repaired: String(Math.floor(Number(digits))),
    };
  }
  if (/^[0-9]{10}$/.test(digits) && digits !== text) {
    return { mistake: "The timestamp is in quotation marks: send a number", repaired };
  }
  if (Math.abs(Number(digits) + YEAR_2000_SECONDS - nowSeconds) < DAY_SECONDS) {
    return {
      mistake: `The timestamp counts from the year 2000: add ${YEAR_2000_SECONDS}`,
      repaired: String(Math.floor(Number(digits)) + YEAR_2000_SECONDS),
    };
  }
  if (/^[0-9]{1,9}(\.[0-9]+)?$/.test(digits)) {
    return { mistake: "The device's clock is not set: ask a time server before the first message" };
  }
  return /^[0-9]{4}-/.test(digits)
    ? { mistake: "The timestamp is a date: send Unix seconds, ten digits" }
    : undefined;
}

function lookAtMessageId(text: string): Finding | undefined {
  const id = unquoted(text).replace(/^urn:uuid:|^\{|\}$/gi, "");
  const parts =
    /^([0-9a-f]{8})-?([0-9a-f]{4})-?(([0-9a-f])[0-9a-f]{3})-?([0-9a-f]{4})-?([0-9a-f]{12})$/i
      .exec(id);
  if (!parts) return { mistake: "The message_id is not a UUID: make a random one (version 4)" };
  const [, first, second, third, version, fourth, last] = parts;
  if (version !== "4") {
    return {
      mistake: `The message_id is a UUID of version ${version}: make a random one (version 4)`,
    };
  }
  const repaired = `"${[first, second, third, fourth, last].join("-")}"`;
  return repaired === text || !/^[89ab]/i.test(fourth!)
    ? undefined
    : { mistake: "The message_id must be written as 8-4-4-4-12 hex digits", repaired };
}

/** Hashes that are mistaken for SHA-256, by the length of their hex digits. */
const OTHER_HASHES: Record<number, string> = {
  32: "MD5",
  40: "SHA-1",
  96: "SHA-384",
  128: "SHA-512",
};

/** What programs write around a signature's digits, or between them. */
const WRAPPED_SIGNATURES: readonly [form: RegExp, what: string][] = [
  [/^(?:hmac-)?(?:sha(?:2-|-)?256)? ?\((?:stdin|-)\)= ([0-9a-f]{64})$/i, "openssl's whole output"],
  [/^([0-9a-f]{64}) [ *].*$/i, "sha256sum's whole output"],
  [/^(?:0x|(?:hmac-)?sha-?256[=:] ?)([0-9a-f]{64})$/i, "a prefix"],
  [/^b'([0-9a-f]{64})'$/i, "Python's b'…' around it"],
  [/^\s*([0-9a-f]{64})(?:\s|\0)*$/i, "white space around it"],
  [/^((?:0x)?[0-9a-f]{2}(?:[\s:,-]+(?:0x)?[0-9a-f]{2}){31})$/i, "separators between its digits"],
];

function lookAtSignature(text: string): Finding | undefined {
  const signature = stringValue(text);
  for (const [form, what] of WRAPPED_SIGNATURES) {
    const found = form.exec(signature)?.[1];
    if (found === undefined || found === signature && found.length === 2 * SIGNATURE_BYTES) {
      continue;
    }
    return {
      mistake: `The signature has ${what}: send 64 hex digits`,
      repaired: `"${found.replace(/0x|[\s:,-]/gi, "")}"`,
    };
  }
  const { bytes, form } = encodedSignature(signature, text);
  if (bytes?.length === SIGNATURE_BYTES) {
    return {
      mistake: `The signature is ${form}: send it as 64 hex digits`,
      repaired: `"${bytes.toHex()}"`,
    };
  }
  const hash = /^[0-9a-f]+$/i.test(signature) && OTHER_HASHES[signature.length];
  return hash
    ? { mistake: `The signature is as long as one of ${hash}: use HMAC-SHA256` }
    : undefined;
}

/** The bytes of a signature that is written in another way than hex, as far as they can be read. */
function encodedSignature(signature: string, text: string) {
  const digits = bytesOfHex(signature);
  if (digits?.length === 4 * SIGNATURE_BYTES / 2) {
    const twice = bytesOfHex(String.fromCharCode(...digits));
    if (twice !== undefined) return { bytes: twice, form: "hex of hex digits (encoded twice)" };
  }
  if (/^\[\s*[0-9]{1,3}(\s*,\s*[0-9]{1,3}){31}\s*\]$/.test(text)) {
    return { bytes: Uint8Array.from(JSON.parse(text) as number[]), form: "a list of bytes" };
  }
  const ofBase64 = bytesOfBase64(signature.trim());
  if (ofBase64?.length === 2 * SIGNATURE_BYTES) {
    const twice = bytesOfHex(String.fromCharCode(...ofBase64));
    return { bytes: twice, form: "base64 of hex digits" };
  }
  return { bytes: ofBase64, form: "in base64" };
}

function withRepairs(bytes: Uint8Array, repairs: readonly Repair[]): Uint8Array {
  let latin1 = text(bytes);
  for (const { start, end, repaired } of repairs.toSorted((a, b) => b.start - a.start)) {
    latin1 = latin1.slice(0, start) + repaired + latin1.slice(end);
  }
  return Uint8Array.from(latin1, (character) => character.charCodeAt(0));
}

/** The value of a JSON string; any other text as it is. */
function stringValue(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "string" ? value : text;
  } catch {
    return unquoted(text);
  }
}

function unquoted(text: string): string {
  return text.replace(/^"(.*)"$/s, "$1");
}

/** Bytes as Latin-1 text, a character each, so that positions stay. */
function text(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
