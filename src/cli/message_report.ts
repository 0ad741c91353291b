/** How a stored message is shown: its times and its bytes. */

import { Buffer } from "node:buffer";
import { print, printable } from "./terminal.ts";

/** The payload as text, or in base64 if it is not UTF-8. */
export function payloadOf(bytes: Uint8Array) {
  const { text, base64 } = textOf(bytes);
  return { payload: text, payload_base64: base64 };
}

/** Bytes as text, or in base64 if they are not UTF-8. */
export function textOf(bytes: Uint8Array) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, base64: null };
  } catch {
    return { text: null, base64: Buffer.from(bytes).toString("base64") };
  }
}

/** A field in a line of its own, with what a terminal would act on escaped. */
export function printField(name: string, value: string | number): void {
  const text = String(value);
  const shown = printable(text);
  print(`${name}${shown === text ? "" : ", escaped for the terminal"}: ${shown}`);
}

/** A time as text; null if there is no such time. */
export function isoOf(unixMs: number): string | null {
  const date = new Date(unixMs);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
