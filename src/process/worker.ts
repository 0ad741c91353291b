/** The entry of the gateway's worker, which has no permissions but those its job needs. */

import "./empty_environment.ts";
import { GatewayWorker } from "./gateway_worker.ts";
import type { WorkerPort } from "./protocol.ts";

/** Serves this worker's port until the worker is terminated. */
export function serveWorker(port: WorkerPort): void {
  new GatewayWorker(port);
  const die = (event: Event, error: unknown) => {
    event.preventDefault(); // or it would be printed on stderr in another format
    port.postMessage({ kind: "died", message: String(error) });
  };
  addEventListener("error", (event) => die(event, event.error));
  addEventListener("unhandledrejection", (event) => die(event, event.reason));
  port.postMessage({ kind: "loaded" });
}
