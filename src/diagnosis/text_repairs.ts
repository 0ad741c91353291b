/**
 * A message that cannot be read as JSON in UTF-8, made readable: how it came to be what it is is
 * often plain from its first bytes.
 *
 * The rules are:
 * - total: any bytes give an answer, and a bounded number of repairs;
 * - a repair that does not give what it promises is not made.
 */

import { PAYLOAD_DEPTH_MAX, readEnvelope } from "../core/envelope.ts";
import { isUtf8 } from "../core/json_scanner.ts";
import { readJsonText } from "../core/json_text.ts";
import { utf8 } from "./signed_layouts.ts";

/** The bytes after the repairs, and what they repaired, a sentence each. */
interface RepairedText {
  readonly bytes: Uint8Array;
  readonly mistakes: readonly string[];
}

const REPAIRS_MAX = 4;

/** Repairs a message's text as far as it can be; the bytes themselves if there is nothing to do. */
export function repairText(bytes: Uint8Array): RepairedText {
  const mistakes: string[] = [];
  let current = bytes;
  while (mistakes.length < REPAIRS_MAX && readEnvelope(current).kind === "rejected") {
    const repair = firstRepair(current);
    if (repair === undefined) break;
    mistakes.push(repair.mistake);
    current = repair.bytes;
  }
  return { bytes: current, mistakes };
}

interface Repair {
  readonly bytes: Uint8Array;
  readonly mistake: string;
}

function firstRepair(bytes: Uint8Array): Repair | undefined {
  for (const look of [withoutMark, fromUtf16, fromLatin1]) {
    const repair = look(bytes);
    if (repair !== undefined) return repair;
  }
  if (!isUtf8(bytes)) return undefined;
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  for (const look of [withoutZeros, fromBytesLiteral, fromJsonString, fromDict]) {
    const repair = look(text);
    if (repair !== undefined) return { bytes: utf8(repair.text), mistake: repair.mistake };
  }
  return undefined;
}

function withoutMark(bytes: Uint8Array): Repair | undefined {
  if (bytes[0] !== 0xef || bytes[1] !== 0xbb || bytes[2] !== 0xbf) return undefined;
  return {
    bytes: bytes.subarray(3),
    mistake: "The message begins with a byte order mark: write UTF-8 without it",
  };
}

function fromUtf16(bytes: Uint8Array): Repair | undefined {
  const [first, second] = bytes;
  const big = (first === 0xfe && second === 0xff) || (first === 0 && second !== 0);
  const little = (first === 0xff && second === 0xfe) || (second === 0 && first !== 0);
  if (!big && !little) return undefined;
  const text = new TextDecoder(big ? "utf-16be" : "utf-16le").decode(bytes);
  return { bytes: utf8(text), mistake: "The message is UTF-16: write UTF-8" };
}

function fromLatin1(bytes: Uint8Array): Repair | undefined {
  if (isUtf8(bytes)) return undefined;
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  const repaired = utf8(text);
  if (!readJsonText(repaired, PAYLOAD_DEPTH_MAX + 1).ok) return undefined;
  return { bytes: repaired, mistake: "The message is not UTF-8, but Latin-1: write UTF-8" };
}

interface TextRepair {
  readonly text: string;
  readonly mistake: string;
}

function withoutZeros(text: string): TextRepair | undefined {
  const stripped = text.replace(/[\0\s]+$/, "");
  if (!text.slice(stripped.length).includes("\0")) return undefined;
  return {
    text: stripped,
    mistake: "A zero byte follows the message: send strlen() bytes, not the C string's end",
  };
}

function fromBytesLiteral(text: string): TextRepair | undefined {
  const [, , body] = /^\s*b(["'])([^]*)\1\s*$/.exec(text) ?? [];
  if (body === undefined) return undefined;
  const latin1 = unescapedPython(body);
  const bytes = Uint8Array.from(latin1, (character) => character.charCodeAt(0));
  return {
    text: isUtf8(bytes) ? new TextDecoder().decode(bytes) : latin1,
    mistake: "The message is Python's text of bytes, b'…': publish the bytes, not str(bytes)",
  };
}

function fromJsonString(text: string): TextRepair | undefined {
  if (!/^\s*"/.test(text)) return undefined;
  try {
    const inner: unknown = JSON.parse(text);
    if (typeof inner !== "string") return undefined;
    return {
      text: inner,
      mistake:
        "The message is a JSON string that contains the message (encoded twice): encode once",
    };
  } catch {
    return undefined;
  }
}

const PYTHON_WORDS: Readonly<Record<string, string>> = {
  True: "true",
  False: "false",
  None: "null",
};

function fromDict(text: string): TextRepair | undefined {
  const token = /"[^"\\]*(?:\\[^][^"\\]*)*"|'([^'\\]*(?:\\[^][^'\\]*)*)'|\b(?:True|False|None)\b/g;
  let quoted = false;
  const repaired = text.replace(token, (all, body?: string) => {
    if (body === undefined) return PYTHON_WORDS[all] ?? all;
    quoted = true;
    return JSON.stringify(unescapedPython(body));
  });
  if (repaired === text || !readJsonText(utf8(repaired), PAYLOAD_DEPTH_MAX + 1).ok) {
    return undefined;
  }
  return {
    text: repaired,
    mistake: quoted
      ? "JSON has double quotation marks: in Python, write a message with json.dumps, not with str"
      : "JSON has true, false and null: in Python, use json.dumps",
  };
}

function unescapedPython(body: string): string {
  const named: Record<string, string> = { n: "\n", r: "\r", t: "\t" };
  return body.replace(
    /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|([^]))/g,
    (_all, byte?: string, code?: string, other?: string) =>
      other === undefined
        ? String.fromCharCode(parseInt(byte ?? code!, 16))
        : named[other] ?? other,
  );
}
