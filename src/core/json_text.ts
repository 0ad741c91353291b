/** A single JSON text: a payload or a command, before it is put into a message. */

import { compactJson, FAULT, isUtf8, JsonScanner, type ScanFault } from "./json_scanner.ts";

/** The text without insignificant white space, or what is wrong with it and where. */
type JsonText =
  | { readonly ok: true; readonly compact: Uint8Array }
  | { readonly ok: false; readonly fault: ScanFault };

/** Reads one JSON text in UTF-8, nested `depthMax` deep at most; total, as the scanner is. */
export function readJsonText(bytes: Uint8Array, depthMax: number): JsonText {
  const scanner = new JsonScanner(bytes, depthMax);
  const end = scanner.value(scanner.space(0));
  if (end === FAULT) return { ok: false, fault: scanner.fault! };
  const rest = scanner.space(end);
  if (rest !== bytes.length) {
    return { ok: false, fault: { what: "text after the value", at: rest } };
  }
  if (scanner.nonAscii && !isUtf8(bytes)) {
    return { ok: false, fault: { what: "not UTF-8, inside a string", at: 0 } };
  }
  return { ok: true, compact: compactJson(bytes) };
}
