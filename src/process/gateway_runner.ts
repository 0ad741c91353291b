/** Keeps one gateway running on a site, also when its store is replaced under it. */

import type { Config } from "../config/config.ts";
import { readCredentials } from "../config/credentials.ts";
import { ApiServer } from "../gateway/api/server.ts";
import { RequestGate } from "../gateway/api/request_gate.ts";
import { Gateway, type GatewayOptions, STOP_GRACE_MS } from "../gateway/gateway.ts";

/** Who is told what. */
export interface RunnerOptions extends GatewayOptions {
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
}

/**
 * Runs a gateway until `stop`, whose reason may be a number: the grace for what is under way,
 * milliseconds. It serves the API itself unless it is given a gate. Throws where it cannot
 * start the first time.
 */
export async function runGateway(
  config: Config,
  stop: AbortSignal,
  options: RunnerOptions,
): Promise<void> {
  if (options.gate) return await keepRunning(config, stop, options);
  const credentials = options.credentials ?? readCredentials(config);
  const gate = new RequestGate();
  const server = new ApiServer(config.api, {
    log: options.log,
    credentials: credentials.api,
    receive: (request, address) => gate.handle(request, address),
  });
  stop.addEventListener("abort", () => server.shutdown(graceMs(stop)));
  try {
    await keepRunning(config, stop, { ...options, credentials, gate });
  } finally {
    gate.close();
    await server.shutdown(graceMs(stop));
  }
}

async function keepRunning(
  config: Config,
  stop: AbortSignal,
  options: RunnerOptions,
): Promise<void> {
  const { promise: stopped, resolve } = Promise.withResolvers<void>();
  stop.addEventListener("abort", () => resolve());
  let onReady = options.onReady;
  while (!stop.aborted) {
    const gateway = await Gateway.open(config, options);
    const started = gateway.start().then(() => stop.aborted || onReady());
    await Promise.race([started.then(() => gateway.replaced), gateway.replaced, stopped]);
    await gateway.stop(graceMs(stop));
    onReady = () => {};
  }
}

function graceMs({ reason }: AbortSignal): number {
  return typeof reason === "number" ? reason : STOP_GRACE_MS;
}
