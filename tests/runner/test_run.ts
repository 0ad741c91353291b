/**
 * Runs test files in a small pool of processes.
 *
 * The rules are:
 * - the output of a run that failed is printed whole, that of others not at all;
 * - each file's time is printed;
 * - a file that takes longer than its limit is killed, and has failed.
 */

import { fileTimes } from "./file_times.ts";
import { ProcessGroup } from "./process_group.ts";
import { addCounts, countsOf, NO_TESTS, sentenceOf, type TestCounts } from "./test_counts.ts";
import type { TestFile } from "./test_file.ts";

/** The longest that one process may take. */
const LIMIT_MS = 1_200_000;

/** How they are run. */
interface RunOptions {
  /** Processes at once. */
  readonly jobs: number;
  /** Takes each line to print. */
  readonly print: (text: string) => void;
  /** No further process is started once this is aborted. */
  readonly stop: AbortSignal;
}

/** Runs them all: first those that run together, then those beside each other, then those alone. */
export async function runTests(
  files: readonly TestFile[],
  options: RunOptions,
): Promise<TestCounts> {
  const paths = (mode: TestFile["mode"]) =>
    files.filter((file) => file.mode === mode).map(({ path }) => path);
  const together = paths("together");
  const all = [
    ...together.length > 0 ? [await runOne(together, options)] : [],
    ...await runBeside(paths("beside"), options),
    ...await runBeside(paths("alone"), { ...options, jobs: 1 }),
  ];
  return all.reduce(addCounts, NO_TESTS);
}

async function runBeside(paths: readonly string[], options: RunOptions): Promise<TestCounts[]> {
  const waiting = [...paths];
  const counts: TestCounts[] = [];
  const worker = async () => {
    for (let path = waiting.shift(); path !== undefined; path = waiting.shift()) {
      counts.push(await runOne([path], options));
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, worker));
  return counts;
}

/** Runs files in one process, on all processors if there are several files. */
async function runOne(paths: readonly string[], options: RunOptions): Promise<TestCounts> {
  if (options.stop.aborted) return { ...NO_TESTS, failed: 1 };
  const report = await Deno.makeTempFile({ suffix: ".xml" });
  const parallel = paths.length > 1 ? ["--parallel"] : [];
  const args = ["test", "-q", "--no-prompt", "--no-check", "-P=test", `--junit-path=${report}`];
  const sinceMs = performance.now();
  const env = { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1", DENO_JOBS: `${options.jobs}` };
  const run = new ProcessGroup(Deno.execPath(), [...args, ...parallel, ...paths], {
    env,
    limitMs: LIMIT_MS,
  });
  const { output, success, code, signal } = await run.ended;
  const seconds = (performance.now() - sinceMs) / 1000;
  const counts = countsOf(output, success);
  if (!success) options.print(`\n${output.trim()}\n`);
  const times = fileTimes(await Deno.readTextFile(report));
  await Deno.remove(report);
  if (paths.length > 1) {
    for (const path of paths) options.print(`        ${secondsText(times.get(path) ?? 0)} ${path}`);
  }
  const name = paths.length === 1 ? paths[0] : `${paths.length} files together`;
  const end = signal ? `, killed by ${signal}` : success ? "" : `, exit code ${code}`;
  const word = success ? "ok    " : "FAILED";
  options.print(`${word}  ${secondsText(seconds)} ${name}: ${sentenceOf(counts)}${end}`);
  return counts;
}

function secondsText(seconds: number): string {
  return `${seconds.toFixed(1).padStart(6)} s`;
}
