/**
 * What `--json` prints: the same form for every command.
 *
 * The rules are:
 * - stdout has one JSON document and nothing else: an object, or of a list an array of objects;
 * - names are in snake_case; what is not known, or is not there, is null, not left out;
 * - times are ISO 8601 in UTC; what is signed or hashed as Unix seconds stays that: `timestamp`, `at`;
 * - a command that fails after its first step also prints what it did, with `complete` false; its
 *   error goes to stderr, as without --json;
 * - text from outside cannot move the cursor.
 */

import type { SiteOption } from "./open_site.ts";
import { print, printable } from "./terminal.ts";

/** What a command of a site that prints something may be told. */
export interface JsonOption extends SiteOption {
  readonly json?: true;
}

/** Prints a result. */
export function printJson(result: unknown): void {
  const text = JSON.stringify(snakeCased(result), null, 2);
  print(text.split("\n").map(printable).join("\n"));
}

/** Prints one of many results that come as they come, in a line. */
export function printJsonLine(result: unknown): void {
  print(printable(JSON.stringify(snakeCased(result))));
}

/** Prints a list that is never in memory as a whole, one element a line. */
export async function printJsonList<T>(
  items: Iterable<T> | AsyncIterable<T>,
  describe: (item: T) => unknown,
): Promise<void> {
  let line = "[";
  let end = "";
  for await (const item of items) {
    print(line + end);
    line = `  ${printable(JSON.stringify(snakeCased(describe(item))))}`;
    end = ",";
  }
  print(line);
  print("]");
}

function snakeCased(value: unknown): unknown {
  if (value === undefined) return null;
  if (Array.isArray(value)) return value.map(snakeCased);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([name, one]) => [
      name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      snakeCased(one),
    ]),
  );
}
