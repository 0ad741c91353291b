/** A live site with a gateway in a process of its own, to be examined. */

import { type Config, readConfig } from "../../src/config/config.ts";
import { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import type { CheckResult } from "../../src/doctor/check.ts";
import { type DoctorOptions, DoctorRun } from "../../src/doctor/doctor_run.ts";
import { TemporaryDevices } from "../../src/store/sqlite/temporary_devices.ts";
import { type LiveSite, withLiveSite } from "./live_site.ts";

/** Tables that must be after an examination as they were before. */
const TABLES = [
  ...["devices", "device_certificates", "device_revocations", "api_keys", "api_key_devices"],
  ...["device_secrets", "outbox", "dead_letters"],
  ...["commands", "command_requests", "command_acknowledgers"],
];

/** What the broker and SQLite write by themselves, and the lock files, which stay. */
const RESTLESS = /mosquitto\.(db|db\.new|pid)$|gateway\.db(-wal|-shm)?$|\.lock$/;

/** Runs `work` with a site whose broker, backend and gateway run. */
export async function withPatient(
  work: (site: LiveSite, gateway: GatewayProcess) => Promise<void>,
  options: { readonly backendTimeout?: string } = {},
): Promise<void> {
  await withLiveSite(async (site) => {
    const { configuration } = site.layout;
    const { backendTimeout = "10s" } = options;
    const toml = await Deno.readTextFile(configuration);
    await Deno.writeTextFile(configuration, setting(toml, "timeout", backendTimeout));
    const gateway = await GatewayProcess.start(site.layout.directory);
    try {
      await work(site, gateway);
    } finally {
      await gateway.stop();
    }
  }, { start: false });
}

/** Examines a site as the command does. */
export async function examine(
  { layout }: LiveSite,
  options: DoctorOptions = {},
): Promise<CheckResult[]> {
  const findings: CheckResult[] = [];
  const site = { layout, config: configOf(layout), nowMs: Date.now() };
  const examination = new DoctorRun(site, options, (finding) => findings.push(finding));
  try {
    await examination.run();
  } finally {
    await examination.close();
  }
  return findings;
}

/** The names of the findings with a status. */
export function named(findings: readonly CheckResult[], status: CheckResult["status"]): string[] {
  return findings.filter((finding) => finding.status === status).map(({ name }) => name);
}

/** Everything in a site that an examination could leave something in. */
export async function contentsOf(site: LiveSite): Promise<unknown> {
  const files = await filesOf(site.layout.directory);
  const tables = site.withStore((store) =>
    TABLES.map((table) => [table, store.prepare(`SELECT * FROM ${table}`).all()])
  );
  return { files, tables, traces: site.withStore((store) => new TemporaryDevices(store).list()) };
}

/** gateway.toml with another value for a setting of a unique name. */
export function setting(toml: string, key: string, value: string): string {
  const line = new RegExp(`^#? ?${key} = .*$`, "m");
  if (!line.test(toml)) throw new Error(`There is no setting ${key}`);
  return toml.replace(line, `${key} = ${JSON.stringify(value)}`);
}

async function filesOf(folder: string): Promise<string[]> {
  const files: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    const path = `${folder}/${name}`;
    if (RESTLESS.test(path)) continue;
    const { mode, uid } = await Deno.stat(path);
    files.push(`${path} ${mode} ${uid} ${isDirectory ? "" : await Deno.readTextFile(path)}`);
    if (isDirectory) files.push(...await filesOf(path));
  }
  return files.sort();
}

/** The settings of a site, from its file alone. */
function configOf({ configuration, directory }: LiveSite["layout"]): Config {
  const read = readConfig(Deno.readTextFileSync(configuration), { environment: {}, directory });
  if (!read.ok) throw new Error(read.faults.join("; "));
  return read.config;
}
