/**
 * The confined part: the gateway in a worker that may do nothing but its job.
 *
 * The rules are:
 * - it is told what to do by messages of plain values; what it may read is in `permissions.ts`;
 * - it prepares first, behind the door, and runs when it is told to: so one run follows another,
 *   here or in another worker, and requests wait in between;
 * - it writes its log itself, line by line, so that none is lost when it dies.
 */

import "./empty_environment.ts";
import { StoreError } from "../store/store_error.ts";
import type { Config } from "../config/config.ts";
import { type Credentials, StartError } from "../config/credentials.ts";
import { ApiServer } from "../gateway/api/server.ts";
import { ClientAddresses } from "./client_addresses.ts";
import { LOOPBACK } from "./tcp_proxy.ts";
import { type Log, openLog, writeToStderr } from "../log/log.ts";
import { RequestGate } from "../gateway/api/request_gate.ts";
import { runGateway } from "./gateway_runner.ts";

/** How long the connections of an earlier API server may go on before they are broken off. */
const RETIRE_MS = 60_000;

/** What a gateway goes by. */
export interface GatewaySpec {
  readonly config: Config;
  readonly credentials: Credentials;
}

/** What the confined part is told. */
export type WorkerRequest =
  /** Make ready for this, and listen; what runs goes on. */
  | { readonly kind: "prepare"; readonly spec: GatewaySpec }
  /** Run what was prepared, in place of what runs. */
  | { readonly kind: "run"; readonly graceMs: number }
  | { readonly kind: "drain" }
  | { readonly kind: "stop"; readonly graceMs: number }
  /** Who it is whose connection comes through the door, and that it has ended. */
  | { readonly kind: "came"; readonly port: number; readonly address: string }
  | { readonly kind: "gone"; readonly port: number }
  | { readonly kind: "ping" };

/** What the confined part says; `failed`, `died` and `stopped` are its last words. */
export type WorkerReply =
  | { readonly kind: "loaded" | "ready" | "pong" }
  /** It is prepared, and listens behind the door at this port. */
  | { readonly kind: "prepared"; readonly port: number }
  | { readonly kind: "unprepared"; readonly message: string }
  /** By the site's fault, or by one of the program's own. */
  | { readonly kind: "failed" | "died"; readonly message: string }
  | { readonly kind: "stopped" };

/** The worker's side of the line between the two parts. */
export interface WorkerPort {
  onmessage: ((event: MessageEvent<WorkerRequest>) => void) | null;
  postMessage(word: WorkerReply): void;
}

/** Serves the line of this worker for good. */
export function serveWorker(line: WorkerPort): void {
  const confined = new GatewayWorker((word) => line.postMessage(word));
  line.onmessage = ({ data }) => confined.obey(data);
  const die = (event: Event, error: unknown) => {
    event.preventDefault(); // or it would be said on stderr in another voice
    line.postMessage({ kind: "died", message: String(error) });
  };
  addEventListener("error", (event) => die(event, event.error));
  addEventListener("unhandledrejection", (event) => die(event, event.reason));
  line.postMessage({ kind: "loaded" });
}

/** What is prepared, or runs. */
interface Listening extends GatewaySpec {
  readonly log: Log;
  readonly server: ApiServer;
}

class GatewayWorker {
  readonly #say: (word: WorkerReply) => void;
  readonly #gate = new RequestGate();
  readonly #callers = new ClientAddresses();
  #prepared: Listening | undefined;
  #part: Listening | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #ending = false;

  constructor(say: (word: WorkerReply) => void) {
    this.#say = say;
  }

  obey(order: WorkerRequest): void {
    switch (order.kind) {
      case "prepare":
        return this.#prepare(order.spec);
      case "run":
        return void this.#run(order.graceMs);
      case "drain":
        return this.#part?.server.drain();
      case "stop":
        return void this.#end(order.graceMs);
      case "came":
        return this.#callers.connected(order.port, order.address);
      case "gone":
        return this.#callers.disconnected(order.port);
      case "ping":
        return this.#say({ kind: "pong" });
      default:
        return order satisfies never;
    }
  }

  #prepare(spec: GatewaySpec): void {
    try {
      const { config, credentials } = spec;
      const log = openLog(config.log.level, writeToStderr);
      const server = this.#serverFor(credentials.api, log);
      this.#prepared = { ...spec, log, server };
      this.#say({ kind: "prepared", port: server.port });
    } catch (error) {
      this.#say({ kind: "unprepared", message: messageOf(error) });
    }
  }

  /** The one that listens already, where its certificate stays: so do its connections. */
  #serverFor(credentials: Credentials["api"], log: Log): ApiServer {
    const shown = this.#part?.credentials.api;
    const { certificate, key } = credentials;
    if (this.#part && shown?.certificate === certificate && shown.key === key) {
      return this.#part.server;
    }
    return new ApiServer({ host: LOOPBACK, port: 0 }, {
      log,
      credentials,
      receive: (request, address) => this.#gate.handle(request, address),
      addressOf: ({ port }) => this.#callers.addressOf(port),
      onListenAgain: (port) => this.#say({ kind: "prepared", port }),
    });
  }

  async #run(graceMs: number): Promise<void> {
    const part = this.#prepared!;
    await this.#halt(graceMs);
    if (this.#ending) return;
    if (this.#part?.server !== part.server) this.#retire(this.#part);
    this.#part = part;
    this.#stop = new AbortController();
    const onReady = () => this.#say({ kind: "ready" });
    const options = { ...part, gate: this.#gate, onReady };
    this.#running = runGateway(part.config, this.#stop.signal, options)
      .catch((error) => this.#say({ kind: "failed", message: messageOf(error) }));
  }

  async #halt(graceMs: number): Promise<void> {
    this.#stop.abort(graceMs);
    await this.#running;
  }

  /** What still comes by connections that are open is answered like anything else. */
  #retire(part: Listening | undefined): void {
    part?.server.drain();
    setTimeout(() => part?.server.shutdown(0), RETIRE_MS);
  }

  async #end(graceMs: number): Promise<void> {
    this.#ending = true;
    const closed = this.#part?.server.shutdown(graceMs);
    await this.#halt(graceMs);
    this.#gate.close();
    await closed;
    this.#say({ kind: "stopped" });
  }
}

/** The message of what is the site's fault; anything else is left to end the worker. */
function messageOf(error: unknown): string {
  if (error instanceof StartError || error instanceof StoreError) return error.message;
  throw error;
}
