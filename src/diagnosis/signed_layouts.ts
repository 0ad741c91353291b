/** How the fields of a message may have been put together and encoded before they were signed. */

import { bytesLiteral, separatorsMistake } from "./payload_variants.ts";
import { MISTAKES_MAX, right, type Way, wrong } from "./way.ts";

/** The parts of a signing input, as text. */
export interface Parts {
  readonly device_id: string;
  readonly timestamp: string;
  readonly message_id: string;
  readonly payload: string;
}

const NAMES = ["device_id", "timestamp", "message_id", "payload"] as const;
type Name = typeof NAMES[number];

const RULE = `sign ${NAMES.join(" + ")}`;
const JOINTS = [".", "|", ":", ",", ";", " ", "\n", "-", "_", "/", "&"];

/** Every way to put the fields together; `fieldNames` is their order in the message. */
export function layoutsOf(fieldNames: readonly string[]): Way<(parts: Parts) => string>[] {
  const directly = selections(NAMES).map((names) => {
    const mistake = selectionMistake(names);
    const join = (parts: Parts) => names.map((name) => parts[name]).join("");
    return mistake === undefined ? right(join) : wrong(join, mistake);
  });
  const joined = selections(NAMES).filter((names) => names.length > 1).flatMap((names) =>
    JOINTS.map((joint) => {
      const mistake = selectionMistake(names);
      return {
        value: (parts: Parts) => names.map((name) => parts[name]).join(joint),
        mistakes: [...mistake === undefined ? [] : [mistake], jointMistake(joint)],
        weight: mistake === undefined ? 1 : MISTAKES_MAX,
      };
    })
  );
  return [...directly, ...joined, ...wholeMessages(fieldNames)];
}

function jointMistake(joint: string): string {
  return `The signed fields are joined by ${JSON.stringify(joint)}: ` +
    "they must follow each other directly";
}

/** Every choice of names in every order, except none. */
function selections(names: readonly Name[]): Name[][] {
  return names.flatMap((first) => {
    const rest = selections(names.filter((name) => name !== first));
    return [[first], ...rest.map((others) => [first, ...others])];
  });
}

function selectionMistake(names: readonly Name[]): string | undefined {
  const missing = NAMES.filter((name) => !names.includes(name));
  const inOrder = NAMES.filter((name) => names.includes(name));
  const ordered = inOrder.every((name, i) => name === names[i]);
  if (ordered && missing.length === 0) return undefined;
  if (names.length === 1) return `The signature is over the ${names[0]} alone: ${RULE}`;
  if (ordered) return `The signature leaves out the ${missing.join(" and the ")}: ${RULE}`;
  return `The signature is over ${names.join(" + ")}: ${RULE}`;
}

function wholeMessages(fieldNames: readonly string[]): Way<(parts: Parts) => string>[] {
  const whole = `The signature is over a whole JSON message: ${RULE}, nothing else`;
  return [fieldNames, fieldNames.toSorted()].flatMap((names) => [
    wrong((parts: Parts) => objectOf(parts, { names, comma: ",", colon: ":" }), whole),
    {
      value: (parts: Parts) => objectOf(parts, { names, comma: ", ", colon: ": " }),
      mistakes: [whole, separatorsMistake(", ", ": ")],
      weight: 2,
    },
  ]);
}

/** The message as a JSON object without its signature. */
function objectOf(
  parts: Parts,
  { names, comma, colon }: { names: readonly string[]; comma: string; colon: string },
): string {
  const values: Record<string, string> = {
    ...parts,
    device_id: `"${parts.device_id}"`,
    message_id: `"${parts.message_id}"`,
  };
  const fields = names.filter((name) => values[name] !== undefined)
    .map((name) => `"${name}"${colon}${values[name]}`);
  return `{${fields.join(comma)}}`;
}

type Encode = (text: string) => Uint8Array<ArrayBuffer> | undefined;

/** Every way from a text to bytes; undefined if the text cannot be encoded so. */
export const ENCODINGS: readonly Way<Encode>[] = [
  right(utf8),
  wrong(latin1, "The signed text is encoded in Latin-1: sign its bytes in UTF-8"),
  wrong((text) => utf16(text, { little: true }), utf16Mistake()),
  wrong((text) => utf16(text, { little: false }), utf16Mistake()),
  wrong((text) => utf16(`\ufeff${text}`, { little: true }), utf16Mistake()),
  wrong(
    (text) => utf8(`\ufeff${text}`),
    "The signed text begins with a byte order mark: leave it out",
  ),
  ...([["\n", "a newline"], ["\r\n", "a carriage return and a newline"]] as const).map((
    [end, name],
  ) =>
    wrong<Encode>(
      (text) => utf8(text + end),
      `The signed text has ${name} behind the payload (echo adds one, printf does not): sign it ` +
        "without",
    )
  ),
  wrong(
    (text) => utf8(`${text}\0`),
    "The signed text has a zero byte behind the payload: sign strlen() bytes, not the C string's end",
  ),
  wrong(
    (text) => utf8(bytesLiteral(text)),
    "The signed text is Python's text of bytes, b'…': sign the bytes themselves",
  ),
];

function utf16Mistake(): string {
  return "The signed text is encoded in UTF-16: sign its bytes in UTF-8";
}

/** A text's bytes in UTF-8. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

function latin1(text: string): Uint8Array<ArrayBuffer> | undefined {
  if (!/[\u0080-\uffff]/.test(text) || /[\u0100-\uffff]/.test(text)) return undefined;
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** A text's bytes in UTF-16. */
export function utf16(text: string, { little }: { little: boolean }): Uint8Array<ArrayBuffer> {
  const view = new DataView(new ArrayBuffer(2 * text.length));
  for (let i = 0; i < text.length; i++) view.setUint16(2 * i, text.charCodeAt(i), little);
  return new Uint8Array(view.buffer);
}
