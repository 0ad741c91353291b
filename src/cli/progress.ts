/** A bar for what takes a while, on a terminal and nowhere else. */

import { writeToStderr } from "../log/log.ts";

const WIDTH = 30;
/** Shorter work than this needs no bar. */
const LEAST = 20;
/** A terminal over a slow line is not to be flooded. */
const EVERY_MS = 100;

/** Shows how much of `total` is done; `end` wipes it away. */
export function showProgress(
  label: string,
  total: number,
  options: { isTerminal?: boolean } = {},
): { to(done: number): void; end(): void } {
  const shown = (options.isTerminal ?? Deno.stderr.isTerminal()) && total >= LEAST;
  let saidMs = -Infinity;
  let width = 0;
  return {
    to(done) {
      const nowMs = performance.now();
      if (!shown || (nowMs - saidMs < EVERY_MS && done < total)) return;
      saidMs = nowMs;
      const full = Math.floor(done / total * WIDTH);
      const bar = "#".repeat(full) + ".".repeat(WIDTH - full);
      const line = `${label} [${bar}] ${done}/${total}`;
      width = line.length;
      writeToStderr(`\r${line}`);
    },
    end() {
      if (width > 0) writeToStderr(`\r${" ".repeat(width)}\r`); // any terminal knows this
    },
  };
}
