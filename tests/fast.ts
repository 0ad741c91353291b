/**
 * The fast gate: format, lint, types and the tests that need no process and no network.
 *
 * The rules are:
 * - the first step that fails ends it;
 * - all steps together take at most 60 seconds, so that it stays fast; on a machine that is busy with
 *   other work, `BUSY_MACHINE=1` says that the time does not count.
 */

import { ProcessGroup } from "./runner/process_group.ts";

const MAX_SECONDS = 60;

const STEPS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["format", "fmt", "--check", "-q"],
  ["lint", "lint", "-q"],
  ["types", "check", "-q", "main.ts", "src", "tests"],
  ["unit tests", "run", "-q", "--no-prompt", "-P=test", "tests/run.ts", "tests/unit"],
];

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => ProcessGroup.stopAll().then(() => Deno.exit(1)));
}

const sinceMs = performance.now();
for (const [name, ...args] of STEPS) {
  const stepSinceMs = performance.now();
  const step = new ProcessGroup(Deno.execPath(), args, { limitMs: 10 * MAX_SECONDS * 1000 });
  const { success, output } = await step.ended;
  if (output.trim() !== "") console.log(output.trim());
  console.log(`${success ? "ok" : "FAILED"}  ${secondsSince(stepSinceMs).toFixed(1)} s  ${name}`);
  if (!success) Deno.exit(1);
}
const seconds = secondsSince(sinceMs);
console.log(`The fast gate took ${seconds.toFixed(1)} s of ${MAX_SECONDS}`);
if (seconds > MAX_SECONDS && Deno.env.get("BUSY_MACHINE") !== "1") {
  console.error(
    "error: The fast gate is too slow\n" +
      "hint: Move tests that start processes out of tests/unit, or set BUSY_MACHINE=1",
  );
  Deno.exit(1);
}

function secondsSince(ms: number): number {
  return (performance.now() - ms) / 1000;
}
