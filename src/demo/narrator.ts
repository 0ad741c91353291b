/**
 * Tells a story on a terminal, or into a file, and counts what did not hold.
 *
 * The rules are:
 * - colour adds nothing that the words do not say;
 * - what a program said is quoted as it is, between bars; only long hex is shortened, with a "…";
 * - lines fit 80 columns, except for those that are to be copied, which stay whole;
 * - text from outside cannot move the cursor.
 */

import { LINE_CHARS, wrapped } from "../core/line_wrap.ts";
import { escapeUnprintable } from "../log/log.ts";

/** Where a story goes. */
interface NarratorOptions {
  /** Takes one line without its newline. */
  readonly write: (line: string) => void;
  readonly colour: boolean;
}

/** What was claimed, and if it did not hold, what was found instead. */
interface Claim {
  readonly claim: string;
  readonly holds: boolean;
  readonly found: string | undefined;
}

const STYLE = { bold: "1", dim: "2", green: "32", red: "1;31" } as const;
const INDENT = " ".repeat(3);
const QUOTE_MARK = `${INDENT}  | `;
const QUOTE_WIDTH = LINE_CHARS - QUOTE_MARK.length;
/** Before a claim: whether it holds. */
const MARK_WIDTH = "FAILED  ".length;

/** One telling. */
export class Narrator {
  readonly #options: NarratorOptions;
  readonly #claims: Claim[] = [];
  #scenes = 0;
  #silent = false;

  constructor(options: NarratorOptions) {
    this.#options = options;
  }

  /** Every claim so far. */
  get claims(): readonly Claim[] {
    return this.#claims;
  }

  /** How many claims did not hold. */
  get failed(): number {
    return this.#claims.filter(({ holds }) => !holds).length;
  }

  /** Begins a numbered scene. */
  scene(title: string): void {
    this.#write("");
    this.#write(this.#styled("bold", `${++this.#scenes}. ${title}`));
  }

  /** Prose. */
  tell(text: string): void {
    if (text === "") return this.#write("");
    for (const line of wrapped(text, LINE_CHARS - INDENT.length)) this.#write(`${INDENT}${line}`);
  }

  /** Lines that are to be copied, as they are. */
  command(...lines: readonly string[]): void {
    for (const line of lines) this.#write(`${INDENT}${line}`);
  }

  /** What a program said or was told. */
  quote(text: string): void {
    const shortened = text.replace(/\b([0-9a-f]{8})[0-9a-f]{52}([0-9a-f]{4})\b/g, "$1…$2");
    for (const line of shortened.trimEnd().split("\n")) {
      for (const part of wrap(escapeUnprintable(line))) {
        this.#write(this.#styled("dim", `${QUOTE_MARK}${part}`));
      }
    }
  }

  /** Says whether a claim holds, and if it does not, what was found instead. */
  check(claim: string, holds: boolean, found?: string): void {
    this.#claims.push({ claim, holds, found: holds ? undefined : found });
    const mark = holds ? this.#styled("green", "ok    ") : this.#styled("red", "FAILED");
    const [first = "", ...rest] = wrapped(claim, LINE_CHARS - INDENT.length - MARK_WIDTH);
    this.#write(`${INDENT}${mark}  ${first}`);
    for (const line of rest) this.#write(`${INDENT}${" ".repeat(MARK_WIDTH)}${line}`);
    if (!holds && found !== undefined) this.quote(`found: ${found}`);
  }

  /** Says nothing from here on: the story was broken off. */
  hush(): void {
    this.#silent = true;
  }

  #write(line: string): void {
    if (!this.#silent) this.#options.write(line);
  }

  #styled(style: keyof typeof STYLE, text: string): string {
    return this.#options.colour ? `\x1b[${STYLE[style]}m${text}\x1b[0m` : text;
  }
}

/** Breaks a long line behind commas and spaces, if it has any. */
function wrap(text: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > QUOTE_WIDTH) {
    const head = rest.slice(0, QUOTE_WIDTH);
    const cut = Math.max(head.lastIndexOf(","), head.lastIndexOf(" ")) + 1 || QUOTE_WIDTH;
    lines.push(rest.slice(0, cut).trimEnd());
    rest = rest.slice(cut);
  }
  return [...lines, rest];
}
