/** `audit verify` and `export`: what was changed and what was refused, and that the record is whole. */

import { counted } from "../core/counted.ts";
import { secondsOf } from "../core/time.ts";
import { Buffer } from "node:buffer";
import type { AuditEntry } from "../store/audit.ts";
import { durationMs, isDuration } from "../config/setting_types.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { type JsonOption, printJson, printJsonList } from "./json_output.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";

/** Proves the chain and prints its head; fails if an entry was altered, removed or reordered. */
export async function verifyAudit(
  options: JsonOption & { readonly head?: string },
): Promise<void> {
  const pinned = options.head === undefined ? undefined : hashOf(options.head);
  const config = configOf(layoutOf(options));
  const { faults, count, head } = await withStore(config, async ({ audit }) => {
    await audit.chainPending();
    return await audit.prove(pinned);
  });
  if (faults.length > 0) throw new CommandError(faults);
  if (options.json) {
    return printJson({ count, head: { sequence: head.sequence, hash: head.hash.toHex() } });
  }
  const entries = counted(count, "entry", "entries");
  print(`Verified ${entries}, up to number ${head.sequence}`);
  print(`head ${head.hash.toHex()}`);
}

/** Prints entries as JSON Lines, or as one JSON array. */
export async function exportAudit(
  options: JsonOption & { readonly since?: string },
): Promise<void> {
  const at = options.since === undefined
    ? Number.MIN_SAFE_INTEGER
    : sinceOf(options.since, Date.now());
  await withStore(configOf(layoutOf(options)), async ({ audit }) => {
    await audit.chainPending();
    const entries = audit.since(at);
    if (options.json) return await printJsonList(entries, describe);
    for await (const entry of entries) print(printable(JSON.stringify(describe(entry))));
  });
}

function describe({ sequence, at, author, event, subject, detail, count, hash }: AuditEntry) {
  const time = new Date(at * 1000).toISOString();
  return { sequence, time, at, author, event, subject, detail, count, hash: hash.toHex() };
}

function hashOf(head: string): Uint8Array {
  if (/^[0-9a-f]{64}$/i.test(head)) return Buffer.from(head, "hex");
  throw new CommandError(
    "Cannot use the head: it must be 64 hex digits, as audit verify prints them",
    {
      exit: EXIT.usage,
    },
  );
}

/** A time, or how long ago, as Unix seconds. */
function sinceOf(text: string, nowMs: number): number {
  if (isDuration(text)) return secondsOf(nowMs - durationMs(text));
  const timeMs = /^\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d))?$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (!Number.isNaN(timeMs)) return secondsOf(timeMs);
  throw new CommandError(`Cannot use the time "${text}"`, {
    exit: EXIT.usage,
    hint: 'Give a date, a time such as "2026-01-31T12:00:00Z", or how long ago: "24h", "7d"',
  });
}
