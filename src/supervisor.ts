/** Keeps one gateway running on a site, also when its store is replaced under it. */

import type { Config } from "./config.ts";
import { readCredentials } from "./credentials.ts";
import { ApiServer } from "./edge/api_server.ts";
import { Gateway, type GatewayOptions, STOP_GRACE_MS } from "./gateway.ts";

/** Who is told what. */
export interface SupervisorOptions extends GatewayOptions {
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
}

/**
 * Runs a gateway until `stop`, whose reason may be a number: the grace for what is under way,
 * milliseconds. Throws where it cannot start the first time.
 */
export async function superviseGateway(
  config: Config,
  stop: AbortSignal,
  options: SupervisorOptions,
): Promise<void> {
  const credentials = options.credentials ?? readCredentials(config);
  const server = options.server ?? new ApiServer(config.api, credentials.api, options);
  const graceMs = () => typeof stop.reason === "number" ? stop.reason : STOP_GRACE_MS;
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  stop.addEventListener("abort", () => resolve());
  let onReady = options.onReady;
  try {
    while (!stop.aborted) {
      const gateway = new Gateway(config, { ...options, credentials, server });
      const started = gateway.start().then(() => stop.aborted || onReady());
      await Promise.race([started.then(() => gateway.replaced), gateway.replaced, stopped]);
      if (stop.aborted) server.shutdown(graceMs()); // which the gateway awaits
      await gateway.stop(graceMs());
      onReady = () => {};
    }
  } finally {
    await server.shutdown(graceMs());
  }
}
