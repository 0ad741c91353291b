/** How programs lay out JSON text, and what they write that is no JSON. */

import { respell } from "./json_tokens.ts";

/** With other separators than "," and ":". */
export function withSeparators(json: string, comma: string, colon: string): string {
  return respell(json, {
    punctuation: (token) => token === "," ? comma : token === ":" ? colon : token,
  });
}

/** Indented by `step`, every token as it is; an empty object or array stays on its line. */
export function indentedText(json: string, step: string): string {
  let depth = 0;
  const text = respell(json, {
    punctuation: (token) => {
      if (token === ":") return ": ";
      if (isClosing(token)) return `\n${step.repeat(--depth)}${token}`;
      if (token !== ",") depth++;
      return `${token}\n${step.repeat(depth)}`;
    },
  });
  return closeEmpty(text, "");
}

/** As Jackson, in Java, indents: objects by lines, arrays in one. */
export function jacksonText(json: string): string {
  const open: string[] = [];
  const line = () => `\n${"  ".repeat(open.filter((bracket) => bracket === "{").length)}`;
  const text = respell(json, {
    punctuation: (token) => {
      if (token === ":") return " : ";
      if (token === ",") return open.at(-1) === "{" ? `,${line()}` : ", ";
      if (isClosing(token)) return open.pop() === "{" ? `${line()}}` : " ]";
      open.push(token);
      return token === "{" ? `{${line()}` : "[ ";
    },
  });
  return closeEmpty(text, " ");
}

/** What Python's `str` writes for a dict. */
export function dictText(json: string): string {
  const words: Record<string, string> = { true: "True", false: "False", null: "None" };
  return respell(withSeparators(json, ", ", ": "), {
    string: (token) => pythonString(JSON.parse(token)),
    word: (token) => words[token] ?? token,
  });
}

/** What Java's `toString` writes for a map. */
export function plainMapText(json: string): string {
  return respell(withSeparators(json, ", ", "="), { string: (token) => JSON.parse(token) });
}

function isClosing(token: string): boolean {
  return token === "}" || token === "]";
}

/** Empty brackets in one line, with `space` between. */
function closeEmpty(json: string, space: string): string {
  return json.replace(
    /"[^"\\]*(?:\\.[^"\\]*)*"|([{[])\s+([}\]])/g,
    (all, opening?: string, closing?: string) =>
      opening === undefined ? all : `${opening}${space}${closing}`,
  );
}

function pythonString(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const named: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
  const body = text.replace(/[\\\n\r\t]/g, (character) => named[character] ?? "\\\\")
    .replaceAll(quote, quote === "'" ? "\\'" : quote);
  return `${quote}${body}${quote}`;
}
