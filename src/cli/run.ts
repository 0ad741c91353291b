/** `run`: the gateway, until it is told to stop. */

import { openLog, writeToStderr } from "../edge/log.ts";
import { StoreError } from "../edge/store.ts";
import { StartError } from "../gateway.ts";
import { superviseGateway } from "../supervisor.ts";
import { configOf, layoutOf, type SiteOption } from "./site.ts";
import { Failure, remark } from "./voice.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Runs the gateway of a site until SIGTERM or SIGINT. */
export async function run(options: SiteOption): Promise<void> {
  // Only the commands that tell the broker start and signal programs; what listens does not.
  Deno.permissions.revokeSync({ name: "run" });
  const layout = layoutOf(options);
  const config = configOf(layout);
  using _lock = lockSite(layout.configuration);
  const log = openLog(config.log.level, writeToStderr);
  const stop = new AbortController();
  const onSignal = () => stop.abort();
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
  try {
    await superviseGateway(config, stop.signal, { log, onReady: () => remark("ready") });
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
