/** `run`: the gateway, until it is told to stop; SIGHUP reads the site anew. */

import type { Assignment } from "../confined.ts";
import { Confinement } from "../confinement.ts";
import { readCredentials, StartError } from "../credentials.ts";
import { type Log, openLog, writeToStderr } from "../edge/log.ts";
import { Store, StoreError } from "../store/store.ts";
import { ServiceNotifier } from "../edge/systemd.ts";
import { listSettings, type Settings } from "../settings.ts";
import type { SiteLayout } from "../site/layout.ts";
import { layoutOf, settingsOf, type SiteOption } from "./site.ts";
import { Failure, remark } from "./voice.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** What a gateway runs on, and how that stands in the site. */
interface Reading extends Assignment {
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
    remark("ready");
    systemd.ready();
  };
  const confinement = failing(() => new Confinement(reading, { log, onReady }));
  systemd.feedWhile(() => confinement.alive());
  const onHangup = renewing(confinement, reading, { log, layout });
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  Deno.addSignalListener("SIGHUP", onHangup);
  try {
    await confinement.run(stop.signal).catch(fail);
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
  new Store(config.store.database).close();
  return { config, settings, credentials: readCredentials(config) };
}

/** What SIGHUP does: one renewal after another; what comes during one is one more. */
function renewing(
  confinement: Confinement,
  first: Reading,
  { log, layout }: { log: Log; layout: SiteLayout },
): () => void {
  let standing = first;
  let due = 0;
  const renewAll = async () => {
    do {
      due = 1;
      standing = await renew(confinement, standing, { log, layout });
    } while (--due > 0);
  };
  return () => {
    if (due++ === 0) renewAll();
  };
}

/** Reads the site and goes over to what is new there; returns what the gateway then runs on. */
async function renew(
  confinement: Confinement,
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
    await confinement.renew(next);
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
  throw new Failure(`Another gateway runs on this site: "${path}" is locked`);
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
    ? new Failure(error.message)
    : error;
}
