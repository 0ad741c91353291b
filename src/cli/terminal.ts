/**
 * What the command line prints, and how.
 *
 * The rules are:
 * - results go to stdout, everything else to stderr;
 * - exit 0 done, 1 failed, 2 used wrongly;
 * - an error reads `error: …`, and if there is a likely mistake or a next step, `hint: …`; never a stack trace;
 * - what is on stderr stops nothing if it cannot be written; a result that cannot be is an error;
 * - text from outside cannot move the cursor.
 */

import { systemFault } from "../config/system_fault.ts";
import { LINE_CHARS } from "../core/line_wrap.ts";
import { escapeUnprintable, writeToStderr } from "../log/log.ts";

/** What a command returns to the shell. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;
export type Exit = typeof EXIT[keyof typeof EXIT];

/** Ends a command with an error; caught and printed in one place. */
export class CommandError extends Error {
  override readonly name = "CommandError";
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

/** A result cannot be written to stdout: its disk is full, or its reader has gone. */
export class OutputError extends Error {
  override readonly name = "OutputError";
}

/** True if colour may be printed there: it is a terminal, and its user has not set NO_COLOR. */
export function hasColour(stream: { isTerminal(): boolean }): boolean {
  return stream.isTerminal() && !Deno.noColor;
}

/** A result, on stdout; throws an `OutputError`. */
export function print(line: string): void {
  const bytes = new TextEncoder().encode(`${line}\n`);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stdout.writeSync(bytes.subarray(at));
  } catch (error) {
    const reason = systemFault(error)?.reason ?? (error as Error).message;
    throw new OutputError(`Cannot write the result: ${reason}`, { cause: error });
  }
}

/** How many characters fit into a line of stdout; 80 if it is no terminal. */
export function lineChars(): number {
  return Deno.stdout.isTerminal() ? Deno.consoleSize().columns : LINE_CHARS;
}

/** Prints the only copy of something that was made; if that fails, `undo` takes it away again. */
export async function showOrUndo(show: () => void, undo: () => Promise<unknown>): Promise<void> {
  try {
    show();
  } catch (error) {
    if (!(error instanceof OutputError)) throw error;
    await undo();
    throw new CommandError(`${error.message}; nothing was made`, {
      hint: "Give its output a place that can be written, then run the same command again",
    });
  }
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
