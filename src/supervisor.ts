/** Keeps one gateway running on a site, also when its store is replaced under it. */

import type { Config } from "./config.ts";
import { Gateway, type GatewayOptions } from "./gateway.ts";

/** Who is told what. */
export interface SupervisorOptions extends GatewayOptions {
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
}

/** Runs a gateway until `stop`; throws where it cannot start the first time. */
export async function superviseGateway(
  config: Config,
  stop: AbortSignal,
  options: SupervisorOptions,
): Promise<void> {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  stop.addEventListener("abort", () => resolve());
  let onReady = options.onReady;
  while (!stop.aborted) {
    const gateway = new Gateway(config, options);
    const started = gateway.start().then(() => stop.aborted || onReady());
    await Promise.race([started.then(() => gateway.replaced), gateway.replaced, stopped]);
    await gateway.stop();
    onReady = () => {};
  }
}
