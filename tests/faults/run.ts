/**
 * Runs the faults in their long form and ends in one table of figures:
 * `run.ts [--short] [--seed N] [NAME…]`, where a name is any part of a scenario's.
 */

import { parseArgs } from "node:util";
import { ensureMosquitto } from "../../src/demo/sandbox/broker_process.ts";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { removeFolders } from "../support/with_folder.ts";
import { isClean, sumOf } from "./checker.ts";
import type { Findings, Scenario } from "./scenario.ts";
import { SCENARIOS } from "./scenarios.ts";
import { tableOf } from "./table.ts";

const DEFAULT_SEED = 20_240_229;

/** Scenarios that run side by side, each on a site of its own: most of them do little but wait. */
const AT_ONCE = 3;

const { values, positionals } = parseArgs({
  args: Deno.args,
  options: { short: { type: "boolean" }, seed: { type: "string" } },
  allowPositionals: true,
});
const seed = Number(values.seed ?? DEFAULT_SEED);
const chosen = SCENARIOS.filter(({ name }) =>
  positionals.length === 0 || positionals.some((part) => name.includes(part))
);
const mosquitto = await ensureMosquitto();
const fault = mosquitto.ok ? problemWith(chosen) : mosquitto.fault;
if (fault) {
  console.error(`error: ${fault}`);
  Deno.exit(2);
}

for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, breakOff);
console.error(`seed ${seed}`);
const findings = new Map<Scenario, Findings>();
const together = chosen.filter(({ alone }) => !alone);
await Promise.all(Array.from({ length: AT_ONCE }, () => runFrom(together)));
await runFrom(chosen.filter(({ alone }) => alone));
const rows = chosen.map((scenario) => [scenario.name, findings.get(scenario)!] as const);
console.log(tableOf(rows));
Deno.exit(rows.every(([, findings]) => isClean(findings)) ? 0 : 1);

/** Leaves nothing behind. */
async function breakOff(): Promise<void> {
  await ChildProcess.killAll();
  removeFolders();
  Deno.exit(1);
}

function problemWith(chosen: readonly Scenario[]): string | undefined {
  if (!Number.isSafeInteger(seed)) return `"${values.seed}" is not a seed`;
  if (chosen.length === 0) return `No fault is named ${positionals.join(" or ")}`;
  return undefined;
}

/** A run that did not come to its end has shown nothing. */
function failure(error: Error): Findings {
  return { ...sumOf([]), violations: [error.message], note: "broke off" };
}

/** Runs one after the other until the queue is empty. */
async function runFrom(queue: Scenario[]): Promise<void> {
  for (let next = queue.shift(); next; next = queue.shift()) findings.set(next, await runOne(next));
}

async function runOne({ name, run }: Scenario): Promise<Findings> {
  const startedMs = performance.now();
  const say = (progress: string) => {
    const elapsed = Math.round((performance.now() - startedMs) / 1000);
    console.error(`${name}, ${elapsed} s: ${progress}`);
  };
  say("begins");
  const findings = await run({ long: !values.short, seed, say }).catch(failure);
  say(isClean(findings) ? `done; ${findings.note}` : "VIOLATED");
  for (const violation of findings.violations) console.error(`violated: ${name}: ${violation}`);
  return findings;
}
