/** `doctor`: checks this site, and attacks it. */

import type { CheckResult } from "../doctor/check.ts";
import { ALL_CHECKS, DoctorRun, isHealthy } from "../doctor/doctor_run.ts";
import type { SiteLayout } from "../site/layout.ts";
import { configOf, layoutOf, type SiteOption } from "./open_site.ts";
import { CommandError, EXIT, note, print, printable } from "./terminal.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const NAME_WIDTH = Math.max(...ALL_CHECKS.map(({ name }) => name.length));
const VERDICT_WIDTH = "skipped".length;

/** What is left out, and how it is printed. */
export interface DoctorOptions extends SiteOption {
  readonly json?: true;
  readonly offline?: true;
  /** False: no message goes to the backend. */
  readonly message: boolean;
}

/** Examines the site and prints what was observed; fails where something must be mended. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const layout = layoutOf(options);
  const findings: CheckResult[] = [];
  if (!options.json) sayRow("CHECK", "VERDICT", "SEEN");
  try {
    await examine(layout, options, (finding) => {
      findings.push(finding);
      if (!options.json) sayFinding(finding);
    });
  } finally {
    if (options.json) sayJson(findings);
  }
  if (!isHealthy(findings)) throw new CommandError(`Not all is well: ${sumOf(findings)}`);
  note(`All is well: ${sumOf(findings)}`);
}

async function examine(
  layout: SiteLayout,
  { offline, message }: DoctorOptions,
  report: (finding: CheckResult) => void,
): Promise<void> {
  const config = configOrFaults(layout);
  report(config instanceof CommandError ? faulty(config) : sound(layout));
  if (config instanceof CommandError) return;
  const site = { layout, config, nowMs: Date.now() };
  const examination = begin(() =>
    new DoctorRun(site, { offline: !!offline, silent: !message }, report)
  );
  const stop = Promise.withResolvers<never>();
  const onSignal = () =>
    stop.reject(new CommandError("Stopped before the end; nothing is left behind"));
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    await Promise.race([examination.run(), stop.promise]);
  } finally {
    await examination.close().catch(leftBehind);
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
  }
}

function leftBehind(error: Error): never {
  throw new CommandError(`Cannot take the device doctor-… out again: ${error.message}`, {
    hint: "The next secure-iot-gateway doctor does it, once the database can be written",
  });
}

function begin(make: () => DoctorRun): DoctorRun {
  try {
    return make();
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
}

/** The settings, or what is wrong with them; where there is no site at all, there is no patient. */
function configOrFaults(layout: SiteLayout) {
  try {
    return configOf(layout);
  } catch (error) {
    if (error instanceof CommandError && error.exit === EXIT.wrongUse) return error;
    throw error;
  }
}

function sound({ configuration }: SiteLayout): CheckResult {
  return { name: "settings", status: "ok", observed: `${configuration} can be used` };
}

function faulty({ faults, hint }: CommandError): CheckResult {
  const observed = faults.join("; ");
  return {
    name: "settings",
    status: "failed",
    observed,
    ...(hint !== undefined && { remedy: hint }),
  };
}

function sayFinding({ name, status, observed, remedy }: CheckResult): void {
  sayRow(name, status, observed);
  if (remedy !== undefined) sayRow("", "", `-> ${remedy}`);
}

function sayRow(name: string, status: string, observed: string): void {
  print(`${name.padEnd(NAME_WIDTH)}  ${status.padEnd(VERDICT_WIDTH)}  ${printable(observed)}`);
}

function sayJson(findings: readonly CheckResult[]): void {
  const lines = findings.map(({ name, status, observed, remedy }) =>
    printable(JSON.stringify({ name, status, observed, remedy: remedy ?? null }))
  );
  print(lines.length === 0 ? "[]" : `[\n  ${lines.join(",\n  ")}\n]`);
}

function sumOf(findings: readonly CheckResult[]): string {
  const counts = (["ok", "warning", "failed", "skipped"] as const).map((wanted) => {
    const count = findings.filter(({ status }) => status === wanted).length;
    return count === 0 ? [] : [`${count} ${wanted}`];
  });
  return counts.flat().join(", ");
}
