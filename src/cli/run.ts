/** `run`: the gateway, until it is told to stop; SIGHUP reads the site anew. */

import { StoreError } from "../store/store_error.ts";
import type { GatewaySpec } from "../process/worker.ts";
import { Supervisor } from "../process/supervisor.ts";
import { readCredentials, StartError } from "../config/credentials.ts";
import { type Log, openLog, writeToStderr } from "../log/log.ts";
import { Database } from "../store/sqlite/database.ts";
import { ServiceNotifier } from "../process/systemd_notify.ts";
import { listSettings, type Settings } from "../config/settings.ts";
import type { SiteLayout } from "../site/layout.ts";
import { layoutOf, settingsOf, type SiteOption } from "./open_site.ts";
import { CommandError, note } from "./terminal.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** What a gateway runs on, and how that stands in the site. */
interface Reading extends GatewaySpec {
  readonly settings: Settings;
}

/** Runs the gateway of a site until SIGTERM or SIGINT. */
export async function run(options: SiteOption): Promise<void> {
  // Only the commands that tell the broker start and signal programs; what listens does not.
  Deno.permissions.revokeSync({ name: "run" });
  const layout = layoutOf(options);
  const reading = failing(() => readSite(layout));
  using _lock = lockSite(layout.configuration);
  const log = openLog(reading.config.log.level, writeToStderr);
  using systemd = new ServiceNotifier((name) => Deno.env.get(name), { log });
  const stop = new AbortController();
  const onSignal = () => {
    systemd.stopping();
    stop.abort();
  };
  const onReady = () => {
    note("ready");
    systemd.ready();
  };
  const supervisor = failing(() => new Supervisor(reading, { log, onReady }));
  systemd.feedWhile(() => supervisor.isAlive());
  const onHangup = renewing(supervisor, reading, { log, layout });
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  Deno.addSignalListener("SIGHUP", onHangup);
  try {
    await supervisor.run(stop.signal).catch(fail);
  } finally {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
    Deno.removeSignalListener("SIGHUP", onHangup);
  }
}

/**
 * Reads the site, and brings its database to this version's schema, since the worker may not back it
 * up; one that is bad is found here, while what runs goes on.
 */
function readSite(layout: SiteLayout): Reading {
  const { config, settings } = settingsOf(layout);
  new Database(config.store.database).close();
  return { config, settings, credentials: readCredentials(config) };
}

/** What SIGHUP does: one renewal after another; what comes during one is one more. */
function renewing(
  supervisor: Supervisor,
  first: Reading,
  { log, layout }: { log: Log; layout: SiteLayout },
): () => void {
  let standing = first;
  let due = 0;
  const renewAll = async () => {
    do {
      due = 1;
      standing = await renew(supervisor, standing, { log, layout });
    } while (--due > 0);
  };
  return () => {
    if (due++ === 0) renewAll();
  };
}

/** Reads the site and goes over to what is new there; returns what the gateway then runs on. */
async function renew(
  supervisor: Supervisor,
  standing: Reading,
  { log, layout }: { log: Log; layout: SiteLayout },
): Promise<Reading> {
  let changed = "";
  try {
    const next = readSite(layout);
    changed = changesBetween(standing, next).join(", ");
    if (changed === "") {
      log("info", "renewed", { message: "Nothing has changed" });
      return standing;
    }
    log("info", "renewing", { message: `Going over to the new ${changed}`, changed });
    await supervisor.reload(next);
    log("info", "renewed", { message: `Runs with the new ${changed}`, changed });
    return next;
  } catch (error) {
    const reason = `${changed && `${changed}: `}${(error as Error).message}`;
    const message = `Not renewed, the old settings and files stay: ${reason}`;
    log("error", "renewal_refused", { message });
    return standing;
  }
}

/** The settings whose value, or the file they name, is another. */
function changesBetween(before: Reading, after: Reading): string[] {
  const names = listSettings().map(({ section, key }) => `${section}.${key}`);
  return names.filter((name) => worthOf(before, name) !== worthOf(after, name));
}

function worthOf({ settings, credentials: { broker, backend, api } }: Reading, name: string) {
  const [section, key] = name.split(".") as [keyof Settings, string];
  const files: Readonly<Record<string, string | undefined>> = {
    "broker.ca": broker.ca,
    "broker.certificate": broker.certificate,
    "broker.key": broker.key,
    "backend.ca": backend.ca,
    "api.certificate": api.certificate,
    "api.key": api.key,
    "api.key_file": api.keyDigest?.toHex(),
  };
  return JSON.stringify([Object.entries(settings[section]).find(([k]) => k === key), files[name]]);
}

/** Two gateways on one site would take turns in throwing each other out of the broker's session. */
function lockSite(path: string): Deno.FsFile {
  const file = Deno.openSync(path);
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new CommandError(`Another gateway runs on this site: "${path}" is locked`);
}

function failing<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    return fail(error);
  }
}

/** What is the site's fault is said in the program's voice. */
function fail(error: unknown): never {
  throw error instanceof StartError || error instanceof StoreError
    ? new CommandError(error.message)
    : error;
}
