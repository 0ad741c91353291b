/** `doctor`: checks this site, and attacks it. */

import type { CheckResult } from "../doctor/check.ts";
import { wrapped } from "../core/line_wrap.ts";
import { ALL_CHECKS, DoctorRun, isHealthy } from "../doctor/doctor_run.ts";
import type { SiteLayout } from "../site/layout.ts";
import { SiteLockedError } from "../site/site_lock.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { configOf, layoutOf } from "./open_site.ts";
import { CommandError, EXIT, lineChars, note, print, printable } from "./terminal.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const NAME_WIDTH = Math.max(...ALL_CHECKS.map(({ name }) => name.length));
const STATUS_WIDTH = "STATUS".length;
const OBSERVED_MIN_CHARS = 20;

/** What is left out, and how it is printed. */
interface DoctorOptions extends JsonOption {
  /** Print only what did not pass. */
  readonly onlyFailed?: true;
  readonly offline?: true;
  /** False: no message goes to the backend. */
  readonly message: boolean;
}

/** Checks the site and prints what was observed; fails if a check failed or could not be made. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const layout = layoutOf(options);
  const results: CheckResult[] = [];
  const say = resultPrinter();
  if (!options.json) sayRow("CHECK", "STATUS", "OBSERVED");
  try {
    await check(layout, options, (result) => {
      results.push(result);
      if (!options.json && !(options.onlyFailed && isFine(result))) say(result);
    });
  } finally {
    if (options.json) {
      sayJson(options.onlyFailed ? results.filter((result) => !isFine(result)) : results);
    }
  }
  if (!isHealthy(results)) {
    if (!options.json && !options.onlyFailed) sayFailures(results);
    throw new CommandError(`Some checks failed: ${sumOf(results)}`);
  }
  note(`All checks passed: ${sumOf(results)}`);
}

async function check(
  layout: SiteLayout,
  { offline, message }: DoctorOptions,
  report: (result: CheckResult) => void,
): Promise<void> {
  const config = configOrFaults(layout);
  report(config instanceof CommandError ? faulty(config) : sound(layout));
  if (config instanceof CommandError) return;
  const site = { layout, config, nowMs: Date.now() };
  const run = begin(() => new DoctorRun(site, { offline: !!offline, silent: !message }, report));
  const stop = Promise.withResolvers<never>();
  const onSignal = () =>
    stop.reject(new CommandError("Stopped before the end; the test device was removed"));
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    await Promise.race([run.run(), stop.promise]);
  } finally {
    await run.close().catch(leftBehind);
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
  }
}

function leftBehind(error: Error): never {
  throw new CommandError(`Cannot remove the test device doctor-…: ${error.message}`, {
    hint:
      "Run secure-iot-gateway doctor again once the database can be written: it removes the device",
  });
}

function begin(make: () => DoctorRun): DoctorRun {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof SiteLockedError)) throw error;
    throw new CommandError(error.message, { hint: error.hint });
  }
}

/** The settings, or what is wrong with them; throws if there is no site at all. */
function configOrFaults(layout: SiteLayout) {
  try {
    return configOf(layout);
  } catch (error) {
    if (error instanceof CommandError && error.exit === EXIT.usage) return error;
    throw error;
  }
}

function sound({ configuration }: SiteLayout): CheckResult {
  return { name: "settings", status: "pass", observed: `${configuration} can be used` };
}

function faulty({ faults, hint }: CommandError): CheckResult {
  const observed = faults.join("; ");
  return {
    name: "settings",
    status: "fail",
    observed,
    ...(hint !== undefined && { remedy: hint }),
  };
}

/** What was left out on request is no news. */
function isFine({ status, asked }: CheckResult): boolean {
  return status === "pass" || asked === true;
}

/** Prints results; what one thing that is down keeps from being checked is explained once. */
function resultPrinter(): (result: CheckResult) => void {
  const reasons = new Set<string>();
  return (result) => {
    const isSame = reasons.has(result.observed) && !result.asked;
    if (result.status === "skip") reasons.add(result.observed);
    sayResult(isSame ? { ...result, observed: "as above" } : result);
  };
}

/** What has failed once more: the table may be longer than the screen. */
function sayFailures(results: readonly CheckResult[]): void {
  const failed = results.filter(({ status }) => status === "fail");
  if (failed.length === 0) return;
  print(`\nFailed:`);
  for (const result of failed) sayResult(result);
}

function sayResult({ name, status, observed, remedy }: CheckResult): void {
  sayRow(name, status, observed);
  if (remedy !== undefined) sayRow("", "", `-> ${remedy}`);
}

/** What was observed is broken into lines of its own column; a word that is wider begins further left. */
function sayRow(name: string, status: string, observed: string): void {
  const head = `${name.padEnd(NAME_WIDTH)}  ${status.padEnd(STATUS_WIDTH)}  `;
  const width = Math.max(OBSERVED_MIN_CHARS, lineChars() - head.length);
  const lines = wrapped(printable(observed), width);
  if (lines[0]!.length > width) lines.unshift("");
  for (const [i, line] of lines.entries()) {
    const indent = Math.min(head.length, Math.max(0, lineChars() - line.length));
    print(i === 0 ? `${head}${line}`.trimEnd() : `${" ".repeat(indent)}${line}`);
  }
}

function sayJson(results: readonly CheckResult[]): void {
  printJson(
    results.map(({ name, status, observed, remedy }) => ({ name, status, observed, remedy })),
  );
}

function sumOf(results: readonly CheckResult[]): string {
  const counts = (["pass", "warn", "fail", "skip"] as const).map((wanted) => {
    const count = results.filter(({ status }) => status === wanted).length;
    return count === 0 ? [] : [`${count} ${wanted}`];
  });
  return counts.flat().join(", ");
}
