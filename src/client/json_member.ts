/** One member of a JSON object, cut out of its text: its bytes stay what they are. */

import { FAULT, JsonScanner } from "../core/json_scanner.ts";

const DEPTH_MAX = 68;

/** The bytes of the value under `name` in the one object that `text` is; undefined if there is none. */
export function jsonMember(text: Uint8Array, name: string): Uint8Array | undefined {
  const scanner = new JsonScanner(text, DEPTH_MAX);
  let at = scanner.space(scanner.space(0) + 1);
  while (text[at] !== undefined) {
    const nameEnd = scanner.string(at);
    const start = scanner.space(scanner.space(nameEnd) + 1); // past the colon
    const end = scanner.value(start);
    if (nameEnd === FAULT || end === FAULT) return undefined;
    const found = new TextDecoder().decode(text.subarray(at, nameEnd));
    if (found === JSON.stringify(name)) return text.subarray(start, end);
    at = scanner.space(scanner.space(end) + 1); // past the comma
  }
  return undefined;
}
