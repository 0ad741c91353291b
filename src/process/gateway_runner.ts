/** Keeps one gateway running on a site, also when its store is replaced under it. */

import type { Config } from "../config/config.ts";
import type { Credentials } from "../config/credentials.ts";
import type { RequestGate } from "../gateway/api/request_gate.ts";
import type { GatewayOptions } from "../gateway/assembly.ts";
import { Gateway, STOP_GRACE_MS } from "../gateway/gateway.ts";

/** What a run works with. */
interface RunnerOptions extends GatewayOptions {
  readonly credentials: Credentials;
  /** Where API requests wait while no gateway takes them. */
  readonly gate: RequestGate;
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
}

/**
 * Runs a gateway until `stop`, whose reason may be a number: the grace for what is under way,
 * milliseconds. Throws if it cannot start.
 */
export async function runGateway(
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
