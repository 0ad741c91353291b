/** The shipped gateway worker in the test's own isolate, so that a test can give it a clock or a log. */

import { type GatewayOverrides, GatewayWorker } from "../../src/process/gateway_worker.ts";
import type { SupervisorPort, WorkerMessage, WorkerPort } from "../../src/process/protocol.ts";

/** The id of a call that no supervisor makes. */
const LAST_CALL = -1;

/** Both ends of one channel; messages are copied, as between a worker and its parent. */
export class InProcessWorker implements SupervisorPort {
  onmessage: SupervisorPort["onmessage"] = null;
  onerror: SupervisorPort["onerror"] = null;
  readonly #inner: WorkerPort;
  readonly #ended = Promise.withResolvers<void>();
  #terminated = false;

  constructor(overrides: GatewayOverrides) {
    this.#inner = { onmessage: null, postMessage: (message) => this.#tell(message) };
    new GatewayWorker(this.#inner, overrides);
    this.#tell({ kind: "loaded" });
  }

  /** Resolves when nothing of it is left after `terminate`. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  postMessage(request: Parameters<SupervisorPort["postMessage"]>[0]): void {
    const data = structuredClone(request);
    queueMicrotask(() => this.#inner.onmessage?.(new MessageEvent("message", { data })));
  }

  /** An isolate cannot end a part of itself by force: it is stopped without grace. */
  terminate(): void {
    if (this.#terminated) return;
    this.#terminated = true;
    this.postMessage({ kind: "stop", graceMs: 0, id: LAST_CALL });
  }

  #tell(message: WorkerMessage): void {
    if (message.kind === "reply" && message.id === LAST_CALL) return this.#ended.resolve();
    const data = structuredClone(message);
    queueMicrotask(() => {
      if (!this.#terminated) this.onmessage?.(new MessageEvent("message", { data }));
    });
  }
}
