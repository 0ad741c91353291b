/** `doctor`: checks this site, and attacks it. */

import type { Finding } from "../doctor/check.ts";
import { ALL_CHECKS, Examination, isHealthy } from "../doctor/examination.ts";
import type { SiteLayout } from "../site/layout.ts";
import { configOf, layoutOf, type SiteOption } from "./site.ts";
import { EXIT, Failure, printable, remark, say } from "./voice.ts";

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

/** Examines the site and prints what was seen; fails where something must be mended. */
export async function doctor(options: DoctorOptions): Promise<void> {
  const layout = layoutOf(options);
  const findings: Finding[] = [];
  if (!options.json) sayRow("CHECK", "VERDICT", "SEEN");
  try {
    await examine(layout, options, (finding) => {
      findings.push(finding);
      if (!options.json) sayFinding(finding);
    });
  } finally {
    if (options.json) sayJson(findings);
  }
  if (!isHealthy(findings)) throw new Failure(`Not all is well: ${sumOf(findings)}`);
  remark(`All is well: ${sumOf(findings)}`);
}

async function examine(
  layout: SiteLayout,
  { offline, message }: DoctorOptions,
  report: (finding: Finding) => void,
): Promise<void> {
  const config = configOrFaults(layout);
  report(config instanceof Failure ? faulty(config) : sound(layout));
  if (config instanceof Failure) return;
  const site = { layout, config, nowMs: Date.now() };
  const examination = begin(() =>
    new Examination(site, { offline: !!offline, silent: !message }, report)
  );
  const stop = Promise.withResolvers<never>();
  const onSignal = () => stop.reject(new Failure("Stopped before the end; nothing is left behind"));
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    await Promise.race([examination.run(), stop.promise]);
  } finally {
    await examination.close().catch(leftBehind);
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
  }
}

function leftBehind(error: Error): never {
  throw new Failure(`Cannot take the device doctor-… out again: ${error.message}`, {
    hint: "The next secure-iot-gateway doctor does it, once the database can be written",
  });
}

function begin(make: () => Examination): Examination {
  try {
    return make();
  } catch (error) {
    throw new Failure((error as Error).message);
  }
}

/** The settings, or what is wrong with them; where there is no site at all, there is no patient. */
function configOrFaults(layout: SiteLayout) {
  try {
    return configOf(layout);
  } catch (error) {
    if (error instanceof Failure && error.exit === EXIT.wrongUse) return error;
    throw error;
  }
}

function sound({ configuration }: SiteLayout): Finding {
  return { name: "settings", verdict: "ok", seen: `${configuration} can be used` };
}

function faulty({ faults, hint }: Failure): Finding {
  const seen = faults.join("; ");
  return { name: "settings", verdict: "failed", seen, ...(hint !== undefined && { mend: hint }) };
}

function sayFinding({ name, verdict, seen, mend }: Finding): void {
  sayRow(name, verdict, seen);
  if (mend !== undefined) sayRow("", "", `-> ${mend}`);
}

function sayRow(name: string, verdict: string, seen: string): void {
  say(`${name.padEnd(NAME_WIDTH)}  ${verdict.padEnd(VERDICT_WIDTH)}  ${printable(seen)}`);
}

function sayJson(findings: readonly Finding[]): void {
  const lines = findings.map(({ name, verdict, seen, mend }) =>
    printable(JSON.stringify({ name, verdict, seen, mend: mend ?? null }))
  );
  say(lines.length === 0 ? "[]" : `[\n  ${lines.join(",\n  ")}\n]`);
}

function sumOf(findings: readonly Finding[]): string {
  const counts = (["ok", "warning", "failed", "skipped"] as const).map((wanted) => {
    const count = findings.filter(({ verdict }) => verdict === wanted).length;
    return count === 0 ? [] : [`${count} ${wanted}`];
  });
  return counts.flat().join(", ");
}
