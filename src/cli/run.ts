/** `run`: the gateway, until it is told to stop. */

import { openLog, writeToStderr } from "../edge/log.ts";
import { StoreError } from "../edge/store.ts";
import { ServiceNotifier } from "../edge/systemd.ts";
import { StartError } from "../gateway.ts";
import { superviseGateway } from "../supervisor.ts";
import { configOf, layoutOf, type SiteOption } from "./site.ts";
import { Failure, remark } from "./voice.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Runs the gateway of a site until SIGTERM or SIGINT. */
export async function run(options: SiteOption): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  using _lock = lockSite(layout.configuration);
  const log = openLog(config.log.level, writeToStderr);
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
  systemd.feedWhile(() => Promise.resolve(true)); // the event loop that answers is the gateway's
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    await superviseGateway(config, stop.signal, { log, onReady });
  } catch (error) {
    if (error instanceof StartError || error instanceof StoreError) {
      throw new Failure(error.message);
    }
    throw error;
  } finally {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
  }
}

/** Two gateways on one site would take turns in throwing each other out of the broker's session. */
function lockSite(path: string): Deno.FsFile {
  const file = Deno.openSync(path);
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new Failure(`Another gateway runs on this site: "${path}" is locked`);
}
