/** The tokens of JSON text, so that each kind can be spelled in another way. */

/** How each kind of token is written; one that is left out stays as it is. */
interface Spelling {
  readonly string?: (token: string) => string;
  readonly number?: (token: string) => string;
  /** true, false and null. */
  readonly word?: (token: string) => string;
  readonly punctuation?: (token: string) => string;
}

/** One change of a payload's text. */
export interface Respelling {
  /** The other text; undefined, or the same, if this text cannot be spelled so. */
  readonly respell: (text: string) => string | undefined;
  /** The sentence; or made from the first words that differ in what is sent and what is signed. */
  readonly mistake: string | ((sent: string, signed: string) => string);
}

const TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.eE+-]*|[a-z]+|[,:{}[\]]/g;

/** `json`, which is valid and compact, with its tokens spelled otherwise. */
export function respell(json: string, spelling: Spelling): string {
  return json.replace(TOKEN, (token) => spelling[kindOf(token)]?.(token) ?? token);
}

function kindOf(token: string): keyof Spelling {
  if (token.startsWith('"')) return "string";
  if (/^[-\d]/.test(token)) return "number";
  return /^[a-z]/.test(token) ? "word" : "punctuation";
}
