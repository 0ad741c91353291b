/** A payload's text as other programs would spell it: what may have been signed instead. */

/** Another spelling of a JSON text, and what would have had to be done to it. */
interface PayloadVariant {
  readonly text: string;
  /** Each a sentence for a hint; empty for the text itself. */
  readonly mistakes: readonly string[];
}

/** Spellings of compact JSON text, those with fewer mistakes first, each text once. */
export function payloadVariants(compact: string): PayloadVariant[] {
  let all: PayloadVariant[] = [{ text: compact, mistakes: [] }];
  for (const respell of [rewritten, escaped, separated]) {
    all = all.flatMap((one) => [one, ...respell(one.text).map((other) => after(one, other))]);
  }
  all.sort((a, b) => a.mistakes.length - b.mistakes.length);
  return [...new Map(all.toReversed().map((one) => [one.text, one])).values()].toReversed();
}

/** `json`, which is valid and compact, with other separators than "," and ":". */
function withSeparators(json: string, comma: string, colon: string): string {
  return json.replace(
    /"(?:[^"\\]+|\\.)*"|[,:]/g,
    (token) => token === "," ? comma : token === ":" ? colon : token,
  );
}

/** One change: the text after it, and the sentence. */
interface Change {
  readonly text: string;
  readonly mistake: string;
}

function after(one: PayloadVariant, { text, mistake }: Change): PayloadVariant {
  return { text, mistakes: [...one.mistakes, mistake] };
}

const VERY_TEXT = "sign the very text that is sent";

/** Parsed and written again, by a program that keeps the numbers or one that does not. */
function rewritten(text: string): Change[] {
  const again = JSON.stringify(JSON.parse(text));
  const sorted = JSON.stringify(sort(parseKeepingNumbers(text)));
  const [sent, signed] = firstDifference(text, again);
  return [
    {
      text: again,
      mistake: `The signed payload was parsed and written again (${sent} is sent, ${signed} is ` +
        `signed): ${VERY_TEXT}`,
    },
    { text: sorted, mistake: `The signed payload has its keys sorted: ${VERY_TEXT}` },
  ].filter((change) => change.text !== text);
}

function escaped(text: string): Change[] {
  return [
    {
      text: asAscii(text),
      mistake:
        "The signed payload has \\u escapes where the message has the characters themselves " +
        `(in Python, ensure_ascii=False keeps them): ${VERY_TEXT}`,
    },
    {
      text: unescaped(text),
      mistake:
        "The signed payload has the characters themselves where the message has \\u escapes: " +
        VERY_TEXT,
    },
  ].filter((change) => change.text !== text);
}

function separated(text: string): Change[] {
  const separators = [[", ", ": "], [",", ": "], [", ", ":"]] as const;
  return separators.map(([comma, colon]) => ({
    text: withSeparators(text, comma, colon),
    mistake: separatorsMistake(comma, colon),
  })).filter((change) => change.text !== text);
}

/** The sentence for a text that was signed with other separators. */
export function separatorsMistake(comma: string, colon: string): string {
  return `The signed text has the separators "${comma}" and "${colon}", not "," and ":": ` +
    'in Python, use json.dumps(payload, separators=(",", ":"))';
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

function asAscii(text: string): string {
  return text.replace(
    /[\u0080-\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function unescaped(text: string): string {
  return text.replace(/\\(?:u([0-9a-fA-F]{4})|.)/g, (escape, digits: string | undefined) => {
    const code = parseInt(digits ?? "0", 16);
    return code < 0x80 ? escape : String.fromCharCode(code);
  });
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
