/**
 * Measures the gateway: `deno task bench [PART]…`, with `--rounds N`, `--messages N` in a burst,
 * `--minutes N` of overload, `--out FOLDER`; or `--short`, which only shows that it works.
 *
 * The rules are:
 * - everything is real: the program as it is packed, the broker, mutual TLS, the store with its
 *   guarantees on, a backend that knows nothing of the gateway, a connection and a certificate for
 *   each device;
 * - who makes the load must not limit it: messages are signed before, publishers are compiled
 *   programs, and what they cost is shown;
 * - what counts as delivered is what the backend has logged;
 * - where two things are compared, they are measured in turns.
 */

import { parseArgs } from "node:util";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { findMosquitto } from "../../src/demo/sandbox/broker_process.ts";
import { barChart } from "./bar_chart.ts";
import { BATCHES } from "./batches.ts";
import { CLUSTER } from "./cluster.ts";
import { COMMANDS } from "./commands.ts";
import type { ContenderSummary } from "./contest.ts";
import { DRAIN } from "./drain.ts";
import { FAR } from "./far.ts";
import { LATENCY } from "./latency.ts";
import { describeMachine, type Machine, machineText } from "./machine.ts";
import { GROWTH, OVERLOAD } from "./memory.ts";
import { NGINX } from "./nginx_backend.ts";
import { PAGE } from "./page.ts";
import { type Figure, type Findings, isReached, type Part } from "./part.ts";
import { PUBLISHER } from "./publishers.ts";
import { REGISTRY_SIZE } from "./registry_size.ts";
import { PRUNING, REMEMBERED_IDS } from "./remembered_ids.ts";
import { FULL, type Scale, SHORT } from "./scale.ts";
import { STARTUP } from "./startup.ts";
import { readable, renderTable } from "./table.ts";
import { removeTemporaryFolders } from "./temporary_folder.ts";
import { THROUGHPUT } from "./throughput.ts";

const PARTS: readonly Part[] = [
  LATENCY, // first, while the disk rests
  THROUGHPUT,
  COMMANDS,
  BATCHES,
  CLUSTER,
  PAGE,
  REGISTRY_SIZE,
  REMEMBERED_IDS,
  PRUNING,
  DRAIN,
  FAR,
  STARTUP,
  GROWTH,
  OVERLOAD,
];

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
/** What a shell shows after Ctrl-C. */
const INTERRUPTED = 130;

/** Findings of the parts that ran, by name. */
type Results = Map<string, Findings>;

let interrupted = false;

await main().catch((error) => {
  if (!interrupted) throw error; // what fails then fails because its processes are gone
});

async function main(): Promise<void> {
  const { parts, scale, folder } = readArguments();
  failWhereMissing();
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, interrupt);
  const machine = await describeMachine();
  console.log(`${machineText(machine)}\n`);
  const results: Results = new Map();
  try {
    for (const part of parts) {
      results.set(part.name, await runPart(part, scale));
      await writeResults(folder, { machine, scale, results });
    }
  } finally {
    await removeTemporaryFolders();
  }
  for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, interrupt);
}

/** Leaves no process and no folder behind. */
async function interrupt(): Promise<void> {
  interrupted = true;
  await ChildProcess.killAll();
  await removeTemporaryFolders();
  Deno.exit(INTERRUPTED);
}

function readArguments(): { parts: readonly Part[]; scale: Scale; folder: string } {
  const { values, positionals: names } = parseOptions();
  const unknown = names.find((name) => !PARTS.some((part) => part.name === name));
  if (unknown !== undefined) fail(`There is no part "${unknown}"`, usage());
  const scale = values.short ? SHORT : FULL;
  const rounds = Number(values.rounds ?? scale.rounds);
  const messages = Number(values.messages ?? scale.messages);
  const overloadMinutes = Number(values.minutes ?? scale.overloadMinutes);
  if (!(rounds >= 1 && messages >= 1 && overloadMinutes > 0)) {
    fail("--rounds, --messages and --minutes are numbers above 0", usage());
  }
  return {
    parts: names.length === 0 ? PARTS : PARTS.filter(({ name }) => names.includes(name)),
    scale: { ...scale, rounds, messages, overloadMinutes },
    folder: values.out,
  };
}

function parseOptions() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        short: { type: "boolean", default: false },
        rounds: { type: "string" },
        messages: { type: "string" },
        minutes: { type: "string" },
        out: { type: "string", default: "bench-results" },
      },
    });
  } catch (error) {
    return fail((error as Error).message, usage());
  }
}

function usage(): string {
  const parts = PARTS.map(({ name, purpose }) => `  ${name.padEnd(12)}${purpose}`);
  return ["The parts are", ...parts].join("\n");
}

function failWhereMissing(): void {
  const packages = [
    ...(findMosquitto() === undefined ? ["mosquitto"] : []),
    ...(isFile(PUBLISHER) ? [] : ["mosquitto-clients"]),
    ...(isFile(NGINX) ? [] : ["nginx-light"]),
  ];
  if (packages.length > 0) {
    fail("Not everything is installed", `apt-get install ${packages.join(" ")}`);
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

function fail(fault: string, hint: string): never {
  console.error(`error: ${fault}\nhint: ${hint}`);
  Deno.exit(1);
}

async function runPart(part: Part, scale: Scale): Promise<Findings> {
  const [loadBefore] = Deno.loadavg();
  console.log(`## ${part.name}: ${part.purpose}\n`);
  const startMs = performance.now();
  const findings = await part.measure(scale);
  const seconds = (performance.now() - startMs) / 1000;
  if (findings.table) console.log(`${renderTable(findings.table)}\n`);
  const rows = findings.figures.map(figureCells);
  console.log(renderTable({ head: ["", "measured", "target", ""], rows }));
  for (const note of findings.notes ?? []) console.log(`\n${note}`);
  const load = `${readable(loadBefore!)} before, ${readable(Deno.loadavg()[0]!)} after`;
  console.log(`\n(${Math.round(seconds)} s; load ${load})\n`);
  return findings;
}

function figureCells(figure: Figure): string[] {
  const { what, value, unit, target } = figure;
  const measured = `${readable(value)} ${unit}`;
  if (target === undefined) return [what, measured, "", ""];
  const wanted = "atLeast" in target
    ? `at least ${readable(target.atLeast)}`
    : `at most ${readable(target.atMost)}`;
  return [what, measured, wanted, isReached(figure) ? "reached" : "missed"];
}

async function writeResults(
  folder: string,
  { machine, scale, results }: { machine: Machine; scale: Scale; results: Results },
): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  const at = new Date().toISOString();
  const json = { at, machine, scale, results: Object.fromEntries(results) };
  await Deno.writeTextFile(`${folder}/results.json`, `${JSON.stringify(json, null, 1)}\n`);
  const throughput = results.get(THROUGHPUT.name);
  if (throughput) await Deno.writeTextFile(`${folder}/throughput.svg`, chart(throughput, scale));
}

function chart({ data }: Findings, { devices, messages }: Scale): string {
  const { summaries } = data as { summaries: readonly ContenderSummary[] };
  const title = `Messages a second: ${devices} devices, ${readable(messages)} messages, mutual TLS`;
  const bars = summaries.map(({ contender, perSecond, lost, cpuMicros }) => ({
    label: contender,
    value: perSecond,
    text: `${readable(perSecond)} (${readable(cpuMicros.contender)} µs CPU each)` +
      (lost > 0 ? `, ${readable(lost)} lost` : ""),
  }));
  return barChart(title, bars);
}
