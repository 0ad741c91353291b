/** A payload's text as other programs would spell it: what may have been signed instead. */

import {
  dictText,
  indentedText,
  jacksonText,
  plainMapText,
  withSeparators,
} from "./json_layouts.ts";
import type { Respelling } from "./json_tokens.ts";
import { NUMBER_SPELLINGS } from "./number_spellings.ts";
import { STRING_SPELLINGS } from "./string_spellings.ts";

/** Another spelling of a JSON text, and what would have had to be done to it. */
interface PayloadVariant {
  readonly text: string;
  /** Each a sentence for a hint; empty for the text itself. */
  readonly mistakes: readonly string[];
}

/** Spellings of compact JSON text that take exactly `count` mistakes, made one by one. */
export function payloadVariants(compact: string, count: number): Generator<PayloadVariant> {
  return variants(compact, { steps: STEPS, count });
}

function* variants(
  text: string,
  { steps, count }: { steps: readonly (readonly Respelling[])[]; count: number },
): Generator<PayloadVariant> {
  if (count === 0) {
    yield { text, mistakes: [] };
    return;
  }
  for (const [i, step] of steps.entries()) {
    for (const { respell, mistake } of step) {
      const other = attempt(() => respell(text));
      if (other === undefined || other === text) continue;
      const first = typeof mistake === "string"
        ? mistake
        : mistake(...firstDifference(text, other));
      const rest = { steps: steps.slice(i + 1), count: count - 1 };
      for (const { text, mistakes } of variants(other, rest)) {
        yield { text, mistakes: [first, ...mistakes] };
      }
    }
  }
}

/** Undefined for a text that is no JSON any more after an earlier change. */
function attempt<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}

const VERY_TEXT = "sign the very text that is sent";

const REWRITTEN: readonly Respelling[] = [
  {
    respell: (text) => JSON.stringify(JSON.parse(text)),
    mistake: (sent, signed) =>
      `The signed payload was parsed and written again (${sent} is sent, ${signed} is signed): ` +
      VERY_TEXT,
  },
  {
    respell: (text) => JSON.stringify(sort(parseKeepingNumbers(text))),
    mistake: `The signed payload has its keys sorted: ${VERY_TEXT}`,
  },
  {
    respell: (text) => text.startsWith('"') ? JSON.parse(text) : undefined,
    mistake: "The payload is sent as a JSON string, and the text in that string is signed: " +
      "send the object itself, not its text encoded again",
  },
  ...NUMBER_SPELLINGS,
];

const WRITTEN: readonly Respelling[] = [
  ...([[", ", ": "], [",", ": "], [", ", ":"]] as const).map(([comma, colon]) => ({
    respell: (text: string) => withSeparators(text, comma, colon),
    mistake: separatorsMistake(comma, colon),
  })),
  ...["  ", "    ", "\t"].flatMap((indent) =>
    ["\n", "\r\n"].map((newline) =>
      indented((text) => indentedText(text, indent).replaceAll("\n", newline))
    )
  ),
  indented(jacksonText),
  {
    respell: dictText,
    mistake:
      "The signed payload is Python's text of a dict, with single quotation marks, True and " +
      "None: use json.dumps, not str",
  },
  {
    respell: plainMapText,
    mistake: "The signed payload is Java's text of a map, {key=value}: write JSON with a library",
  },
  {
    respell: (text) => String(JSON.parse(text)),
    mistake: "The signed payload is JavaScript's text of a value, such as [object Object]: " +
      "use JSON.stringify",
  },
];

const WRAPPED: readonly Respelling[] = [
  {
    respell: (text) => JSON.stringify(text),
    mistake: "The signed payload is a JSON string that contains the payload (encoded twice): " +
      VERY_TEXT,
  },
  {
    respell: bytesLiteral,
    mistake: "The signed payload is Python's text of bytes, b'…': decode them, or sign the bytes",
  },
];

const STEPS = [REWRITTEN, STRING_SPELLINGS, WRITTEN, WRAPPED];

/** The sentence for a text that was signed with other separators. */
export function separatorsMistake(comma: string, colon: string): string {
  return `The signed text has the separators "${comma}" and "${colon}", not "," and ":": ` +
    'in Python, use json.dumps(payload, separators=(",", ":"))';
}

/** What Python writes for the UTF-8 bytes of a text. */
export function bytesLiteral(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
  let body = "";
  for (const byte of new TextEncoder().encode(text)) {
    const character = String.fromCharCode(byte);
    if (character === quote) body += `\\${quote}`;
    else if (byte < 0x20 || byte > 0x7e || byte === 0x5c) {
      body += named[character] ?? `\\x${byte.toString(16).padStart(2, "0")}`;
    } else body += character;
  }
  return `b${quote}${body}${quote}`;
}

function indented(respell: (text: string) => string): Respelling {
  return {
    respell,
    mistake: "The signed payload is indented (pretty-printed): sign it without white space, or " +
      "exactly as it is sent",
  };
}

/** JSON whose numbers stay as they are written. */
interface RawJson {
  rawJSON(text: string): unknown;
  isRawJSON(value: unknown): boolean;
  parse(text: string, reviver: (key: string, value: unknown, context: Source) => unknown): unknown;
}
interface Source {
  readonly source: string;
}
const RAW_JSON = JSON as unknown as RawJson;

function parseKeepingNumbers(text: string): unknown {
  return RAW_JSON.parse(
    text,
    (_key, value, { source }) => typeof value === "number" ? RAW_JSON.rawJSON(source) : value,
  );
}

function sort(value: unknown): unknown {
  if (typeof value !== "object" || value === null || RAW_JSON.isRawJSON(value)) return value;
  if (Array.isArray(value)) return value.map(sort);
  const entries = Object.entries(value).map(([key, inner]) => [key, sort(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => a < b ? -1 : 1));
}

const SHOWN_MAX_CHARS = 40;

/** The first place where two JSON texts differ, as the word that each has there. */
function firstDifference(one: string, other: string): [string, string] {
  let start = 0;
  while (start < one.length && one[start] === other[start]) start++;
  while (start > 0 && !/[,:{}[\]]/.test(one[start - 1]!)) start--;
  return [wordAt(one, start), wordAt(other, start)];
}

function wordAt(text: string, start: number): string {
  const word = /^[^,:{}[\]]*/.exec(text.slice(start, start + SHOWN_MAX_CHARS))![0];
  return word === "" ? "nothing" : word;
}
