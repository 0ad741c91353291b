/** How long the disk takes by itself: every message waits for a sync, so none is faster than that. */

import { join } from "node:path";
import type { Figure } from "./part.ts";
import { quantile } from "./statistics.ts";

/** As large as what a message adds to SQLite's log: eight pages. */
const WRITE_BYTES = 32_768;

/** The file is written over again and again, as SQLite's log is. */
const PLACES = 128;

/** Writes and syncs in `folder` at a steady pace, with nothing else going on. */
export async function diskFigures(
  folder: string,
  pace: { readonly perSecond: number; readonly seconds: number },
): Promise<Figure[]> {
  const waitsMs = await syncTimesMs(join(folder, "disk-probe"), pace);
  return [
    { what: "a sync of the disk alone, p50", value: quantile(waitsMs, 0.5), unit: "ms" },
    { what: "the same, p99", value: quantile(waitsMs, 0.99), unit: "ms" },
    { what: "the same, longest", value: quantile(waitsMs, 1), unit: "ms" },
  ];
}

async function syncTimesMs(
  path: string,
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<number[]> {
  const bytes = crypto.getRandomValues(new Uint8Array(WRITE_BYTES));
  using file = await Deno.open(path, { write: true, create: true });
  for (let i = 0; i < PLACES; i++) file.writeSync(bytes);
  file.syncSync();
  const waitsMs: number[] = [];
  const startMs = performance.now();
  for (let i = 0; i < perSecond * seconds; i++) {
    const earlyMs = startMs + i * 1000 / perSecond - performance.now();
    if (earlyMs > 0) await new Promise((resolve) => setTimeout(resolve, earlyMs));
    file.seekSync((i % PLACES) * WRITE_BYTES, Deno.SeekMode.Start);
    file.writeSync(bytes);
    const beganMs = performance.now();
    file.syncSync(); // as SQLite does, and not only the data
    waitsMs.push(performance.now() - beganMs);
  }
  return waitsMs;
}
