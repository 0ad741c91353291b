/**
 * Runs tests: `tests/run.ts [--jobs N] [FILE or FOLDER]…`, all of them if none is named. Its last line
 * counts them: `N passed, N failed`.
 */

import { parseArgs } from "node:util";
import { ensureMosquitto } from "../src/demo/sandbox/broker_process.ts";
import { ProcessGroup } from "./runner/process_group.ts";
import { NO_TESTS, sentenceOf, type TestCounts } from "./runner/test_counts.ts";
import { findTestFiles, type TestFile } from "./runner/test_file.ts";
import { runTests } from "./runner/test_run.ts";

/** Processes at once, if nothing else is said: most of them wait most of the time. */
const JOBS = 2;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: { jobs: { type: "string", default: `${JOBS}` } },
});
const jobs = Number(values.jobs);
if (!Number.isInteger(jobs) || jobs < 1) fail(`--jobs ${values.jobs} is not a number of processes`);

const stop = new AbortController();
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  Deno.addSignalListener(signal, () => {
    stop.abort();
    ProcessGroup.stopAll();
  });
}

const files = filesIn(positionals.length > 0 ? positionals : ["tests"]);
if (files.some(({ mode }) => mode !== "together")) {
  const mosquitto = await ensureMosquitto();
  if (!mosquitto.ok) fail(mosquitto.fault, mosquitto.hint);
}
const counts = await areTyped(files)
  ? await runTests(files, { jobs, print: console.log, stop: stop.signal })
  : { ...NO_TESTS, failed: 1 };
end(counts);

function filesIn(paths: readonly string[]): TestFile[] {
  try {
    return findTestFiles(paths);
  } catch (error) {
    fail((error as Error).message, "Name files or folders, as tests/unit");
  }
}

/** Checks types once for all, so that no process has to. */
async function areTyped(files: readonly TestFile[]): Promise<boolean> {
  const args = ["check", "-q", ...files.map(({ path }) => path)];
  const { success, output } = await new ProcessGroup(Deno.execPath(), args, { limitMs: 300_000 })
    .ended;
  if (!success) console.log(output.trim());
  return success;
}

function end(counts: TestCounts): never {
  console.log(sentenceOf(counts));
  Deno.exit(counts.failed > 0 ? 1 : 0);
}

function fail(fault: string, hint?: string): never {
  console.error(`error: ${fault}${hint ? `\nhint: ${hint}` : ""}`);
  Deno.exit(1);
}
