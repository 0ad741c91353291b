/** `run`: the gateway, until it is told to stop. */

import { openLog, writeToStderr } from "../edge/log.ts";
import { StoreError } from "../edge/store.ts";
import { Gateway, StartError } from "../gateway.ts";
import { configOf, layoutOf, type SiteOption } from "./site.ts";
import { Failure, remark } from "./voice.ts";

const STOP_SIGNALS = ["SIGTERM", "SIGINT"] as const;

/** Runs the gateway of a site until SIGTERM or SIGINT. */
export async function run(options: SiteOption): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  using _lock = lockSite(layout.configuration);
  const log = openLog(config.log.level, writeToStderr);
  try {
    const gateway = new Gateway(config, { log });
    const stopped = stopOnSignal(gateway);
    await Promise.race([gateway.start().then(() => remark("ready")), stopped]);
    await stopped;
  } catch (error) {
    if (error instanceof StartError || error instanceof StoreError) {
      throw new Failure(error.message);
    }
    throw error;
  }
}

/** Resolves when a signal came and the gateway has drained. */
function stopOnSignal(gateway: Gateway): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let stopping = false;
  const stop = () => {
    if (stopping) return;
    stopping = true;
    gateway.stop().then(resolve, reject);
  };
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, stop);
  return promise.finally(() => {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, stop);
  });
}

/** Two gateways on one site would take turns in throwing each other out of the broker's session. */
function lockSite(path: string): Deno.FsFile {
  const file = Deno.openSync(path);
  if (file.tryLockSync(true)) return file;
  file.close();
  throw new Failure(`Another gateway runs on this site: "${path}" is locked`);
}
