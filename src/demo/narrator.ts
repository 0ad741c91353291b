/**
 * Tells a story on a terminal, or into a file, and counts what did not hold.
 *
 * The rules are:
 * - colour adds nothing that the words do not say;
 * - what a program said is quoted as it is, between bars; only long hex is shortened, with a "…";
 * - text from outside cannot move the cursor.
 */

import { escapeUnprintable } from "../log/log.ts";

/** Where a story goes. */
interface NarratorOptions {
  /** Takes one line without its newline. */
  readonly write: (line: string) => void;
  readonly colour: boolean;
}

const STYLE = { bold: "1", dim: "2", green: "32", red: "1;31" } as const;
const QUOTE_WIDTH = 88;

/** One telling. */
export class Narrator {
  readonly #options: NarratorOptions;
  readonly #claims = { ok: 0, failed: 0 };
  #scenes = 0;
  #silent = false;

  constructor(options: NarratorOptions) {
    this.#options = options;
  }

  /** Claims that held, and that did not. */
  get claims(): { readonly ok: number; readonly failed: number } {
    return { ...this.#claims };
  }

  /** Begins a numbered scene. */
  scene(title: string): void {
    this.#write("");
    this.#write(this.#styled("bold", `${++this.#scenes}. ${title}`));
  }

  /** One line of prose. */
  tell(line: string): void {
    this.#write(line === "" ? "" : `   ${line}`);
  }

  /** What a program said or was told. */
  quote(text: string): void {
    const shortened = text.replace(/\b([0-9a-f]{8})[0-9a-f]{52}([0-9a-f]{4})\b/g, "$1…$2");
    for (const line of shortened.trimEnd().split("\n")) {
      for (const part of wrap(escapeUnprintable(line))) {
        this.#write(this.#styled("dim", `     | ${part}`));
      }
    }
  }

  /** Says whether a claim holds, and if it does not, what was found instead. */
  check(claim: string, holds: boolean, found?: string): void {
    this.#claims[holds ? "ok" : "failed"]++;
    const mark = holds ? this.#styled("green", "ok    ") : this.#styled("red", "FAILED");
    this.#write(`   ${mark}  ${claim}`);
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
