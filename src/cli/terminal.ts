/**
 * What the command line prints, and how.
 *
 * The rules are:
 * - results go to stdout, everything else to stderr;
 * - exit 0 fine, 1 failed, 2 used wrongly;
 * - an error reads `error: …`, and if there is a likely mistake or a next step, `hint: …`; never a stack trace;
 * - text from outside cannot move the cursor.
 */

import { escapeUnprintable, writeToStderr } from "../log/log.ts";

/** What a command returns to the shell. */
export const EXIT = { fine: 0, failed: 1, wrongUse: 2 } as const;
export type Exit = typeof EXIT[keyof typeof EXIT];

/** Ends a command with an error; caught and printed in one place. */
export class CommandError extends Error {
  override readonly name = "Failure";
  readonly faults: readonly string[];
  readonly exit: Exit;
  readonly hint: string | undefined;

  constructor(faults: string | readonly string[], options: { exit?: Exit; hint?: string } = {}) {
    const all = typeof faults === "string" ? [faults] : faults;
    super(all.join("; "));
    this.faults = all;
    this.exit = options.exit ?? EXIT.failed;
    this.hint = options.hint;
  }
}

/** A result, on stdout. */
export function print(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
}

/** Characters of a line where stdout is no terminal. */
const LINE_CHARS = 80;

/** How many characters fit into a line of stdout. */
export function lineChars(): number {
  return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : LINE_CHARS;
}

/** A text in lines of at most `max` characters, broken at spaces; a longer word stays whole. */
export function wrapped(text: string, max: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > max) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A result as one JSON document on stdout; names are in snake_case. */
export function printJson(result: unknown): void {
  const text = JSON.stringify(snakeCased(result), null, 2);
  for (const line of text.split("\n")) print(printable(line));
}

/** Something for the person at the terminal, on stderr. */
export function note(line: string): void {
  writeToStderr(`${line}\n`);
}

/** Says what went wrong, each fault in a line of its own. */
export function printError(failure: Pick<CommandError, "faults" | "hint">): void {
  for (const fault of failure.faults) note(`error: ${printable(fault)}`);
  if (failure.hint !== undefined) note(`hint: ${printable(failure.hint)}`);
}

/** Text from outside as one line that a terminal prints and does not obey. */
export function printable(text: string): string {
  return escapeUnprintable(text);
}

function snakeCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeCased);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCased(one),
    ]),
  );
}
