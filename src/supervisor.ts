/** Keeps one gateway running on a site, also when its store is replaced under it. */

import type { Config } from "./config.ts";
import { readCredentials } from "./credentials.ts";
import { ApiServer } from "./edge/api_server.ts";
import { Reception } from "./edge/reception.ts";
import { Gateway, type GatewayOptions, STOP_GRACE_MS } from "./gateway.ts";

/** Who is told what. */
export interface SupervisorOptions extends GatewayOptions {
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
}

/**
 * Runs a gateway until `stop`, whose reason may be a number: the grace for what is under way,
 * milliseconds. It serves the API itself unless it is given a reception. Throws where it cannot
 * start the first time.
 */
export async function superviseGateway(
  config: Config,
  stop: AbortSignal,
  options: SupervisorOptions,
): Promise<void> {
  if (options.reception) return await keepRunning(config, stop, options);
  const credentials = options.credentials ?? readCredentials(config);
  const reception = new Reception();
  const server = new ApiServer(config.api, {
    log: options.log,
    credentials: credentials.api,
    receive: (request, address) => reception.receive(request, address),
  });
  stop.addEventListener("abort", () => server.shutdown(graceMs(stop)));
  try {
    await keepRunning(config, stop, { ...options, credentials, reception });
  } finally {
    reception.close();
    await server.shutdown(graceMs(stop));
  }
}

async function keepRunning(
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
    await gateway.stop(graceMs(stop));
    onReady = () => {};
  }
}

function graceMs({ reason }: AbortSignal): number {
  return typeof reason === "number" ? reason : STOP_GRACE_MS;
}
