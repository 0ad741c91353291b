/** How JSON libraries escape the characters of a string. */

import { respell, type Respelling } from "./json_tokens.ts";

const VERY_TEXT = "sign the very text that is sent";

/** Which characters a library escapes, and how. */
const STYLES: readonly [escapes: RegExp, as: (code: string) => string, mistake: string][] = [
  [
    /[\u007f-\uffff]/g,
    (code) => `\\u${code}`,
    "The signed payload has \\u escapes where the message has the characters themselves " +
    "(in Python, ensure_ascii=False keeps them)",
  ],
  [
    /[<>&\u2028\u2029]/g,
    (code) => `\\u${code}`,
    "The signed payload has <, > and & as Go's \\u003c, \\u003e and \\u0026 " +
    "(SetEscapeHTML(false) keeps them)",
  ],
  [
    /[/\u007f-\uffff]/g,
    (code) => code === "002f" ? "\\/" : `\\u${code}`,
    "The signed payload has escapes as PHP writes them, \\/ and \\u00e9 " +
    "(JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE keeps the characters)",
  ],
  [
    /\//g,
    () => "\\/",
    "The signed payload has \\/ for / (in PHP, JSON_UNESCAPED_SLASHES keeps it)",
  ],
  [
    /[<>&'+`\u007f-\uffff]|\\"/g,
    (code) => `\\u${code.toUpperCase()}`,
    "The signed payload has escapes as .NET writes them, \\u00E9 and \\u0026 " +
    "(JavaScriptEncoder.UnsafeRelaxedJsonEscaping keeps the characters)",
  ],
  [
    /[<>&='\u2028\u2029]/g,
    (code) => `\\u${code}`,
    "The signed payload has escapes as Gson writes them, \\u003d and \\u0027 " +
    "(disableHtmlEscaping() keeps the characters)",
  ],
];

/** Every way to escape the strings of a payload. */
export const STRING_SPELLINGS: readonly Respelling[] = [
  {
    respell: (text) => inStrings(text, (plain) => plain),
    mistake: "The signed payload has the characters themselves where the message has \\u escapes " +
      `or \\/: ${VERY_TEXT}`,
  },
  ...STYLES.map(([escapes, as, mistake]) => ({
    respell: (text: string) => inStrings(text, (plain) => escapedIn(plain, escapes, as)),
    mistake: `${mistake}: ${VERY_TEXT}`,
  })),
];

/** Each string without needless escapes, and then as `write` has it. */
function inStrings(text: string, write: (plain: string) => string): string {
  return respell(text, { string: (token) => write(JSON.stringify(JSON.parse(token))) });
}

function escapedIn(plain: string, escapes: RegExp, as: (code: string) => string): string {
  return plain.replace(
    escapes,
    (found) => as(found.at(-1)!.charCodeAt(0).toString(16).padStart(4, "0")),
  );
}
