/** `run`: the gateway, until it is told to stop; SIGHUP reloads the site. */

import type { Config } from "../config/config.ts";
import { StartError } from "../config/credentials.ts";
import { KEY_LOG_VARIABLE } from "../config/environment.ts";
import { systemFault } from "../config/system_fault.ts";
import type { Emit } from "../core/event.ts";
import { EventLog } from "../log/event_log.ts";
import { type LogStyle, openLog, takeDroppedLines, writeToStderr } from "../log/log.ts";
import { loadSite } from "../process/loaded_site.ts";
import type { GatewaySpec } from "../process/protocol.ts";
import { Reloader } from "../process/reloader.ts";
import { Supervisor } from "../process/supervisor.ts";
import { ServiceNotifier } from "../process/systemd_notify.ts";
import { lockNow } from "../site/site_lock.ts";
import { StoreError } from "../store/store_error.ts";
import { layoutOf, settingsOf, type SiteOption } from "./open_site.ts";
import { untilStopped } from "./stop_signal.ts";
import { CommandError, hasColour, note } from "./terminal.ts";

/** Runs the gateway of a site until SIGTERM or SIGINT. */
export async function run(options: SiteOption): Promise<void> {
  // Only the commands that tell the broker start and signal programs; what listens does not.
  Deno.permissions.revokeSync({ name: "run" });
  refuseKeyLog();
  const layout = layoutOf(options);
  const settings = settingsOf(layout);
  const { ignored } = settings;
  if (ignored.length > 0) {
    note(`hint: Ignored what a container platform has set: ${ignored.join(", ")}`);
  }
  const site = await load(settings).catch(throwCommandError);
  // Two gateways on one site would disconnect each other from the broker again and again.
  using _lock = lockNow(layout, "gateway");
  let eventLog = openEventLog(site);
  const emit: Emit = (event) => eventLog.write(event);
  using systemd = new ServiceNotifier((name) => Deno.env.get(name), { emit });
  const onReady = () => {
    note("ready");
    systemd.ready();
  };
  const supervisor = orCommandError(() => new Supervisor(site, { emit, onReady }));
  systemd.feedWhile(() => supervisor.isAlive());
  const reload = async (next: GatewaySpec) => {
    await supervisor.reload(next);
    eventLog = openEventLog(next);
  };
  const reloader = new Reloader({ reload }, site, {
    load: async () => await load(settingsOf(layout)),
    emit,
    systemd,
  });
  const onHangup = () => void reloader.request();
  await untilStopped(async (signal) => {
    signal.addEventListener("abort", () => systemd.stopping());
    Deno.addSignalListener("SIGHUP", onHangup);
    try {
      await supervisor.run(signal).catch(throwCommandError);
    } finally {
      Deno.removeSignalListener("SIGHUP", onHangup);
    }
  });
}

/** The main process's own log; the worker has one of its own. */
function openEventLog({ config: { log }, logStyle }: GatewaySpec): EventLog {
  return new EventLog(openLog(log.level, writeToStderr, logStyle), log, takeDroppedLines);
}

/** Reads the files that the settings name. */
async function load(settings: ReturnType<typeof settingsOf>) {
  const site = await loadSite(settings);
  return { ...site, logStyle: logStyleOf(site.config.log) };
}

/** The runtime has read the variable before this program starts: it is too late to remove it. */
function refuseKeyLog(): void {
  if (!Deno.env.get(KEY_LOG_VARIABLE)) return;
  throw new CommandError(
    `${KEY_LOG_VARIABLE} is set: the keys of every TLS connection would be written there`,
    { hint: `Start it without: env -u ${KEY_LOG_VARIABLE} secure-iot-gateway run` },
  );
}

function orCommandError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    return throwCommandError(error);
  }
}

function logStyleOf({ format }: Config["log"]): LogStyle {
  if (format === "json" || (format === "auto" && !Deno.stderr.isTerminal())) return "json";
  return hasColour(Deno.stderr) ? "colour" : "text";
}

/** An error that the site causes is printed for the operator; any other is a bug. */
function throwCommandError(error: unknown): never {
  if (!(error instanceof StartError || error instanceof StoreError)) throw error;
  const hint = systemFault(error)?.hint;
  throw new CommandError(error.message, hint === undefined ? {} : { hint });
}
