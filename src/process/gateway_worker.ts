/**
 * The gateway as its supervisor's calls run it.
 *
 * The rules are:
 * - it prepares first, and runs when it is told to: so one run follows another, here or in another
 *   worker, and requests wait in the request gate in between;
 * - it writes its log itself, line by line, so that none is lost when it dies.
 */

import { type Credentials, StartError } from "../config/credentials.ts";
import { systemFault } from "../config/system_fault.ts";
import type { Emit } from "../core/event.ts";
import { ApiServer } from "../gateway/api/server.ts";
import { RequestGate } from "../gateway/api/request_gate.ts";
import { type GatewayOptions, makeFeed, makePageMemory } from "../gateway/assembly.ts";
import type { PageMemory } from "../gateway/page/page_memory.ts";
import type { EventFeed } from "../gateway/telemetry/event_feed.ts";
import { EventLog } from "../log/event_log.ts";
import { type Log, openLog, takeDroppedLines, writeToStderr } from "../log/log.ts";
import { StoreError } from "../store/store_error.ts";
import { ClientAddresses } from "./client_addresses.ts";
import { runGateway } from "./gateway_runner.ts";
import type { GatewaySpec, WorkerCall, WorkerPort, WorkerRequest } from "./protocol.ts";
import { LOOPBACK } from "./tcp_proxy.ts";

/** How long the connections of a retired API server may go on before they are broken off. */
const RETIRE_MS = 60_000;

/** What a test may put in place of the real thing. */
export type GatewayOverrides = Partial<
  Omit<GatewayOptions, "credentials" | "gate" | "feed" | "memory">
>;

/** What is prepared, or runs. */
interface Listening extends GatewaySpec {
  readonly log: Log;
  readonly server: ApiServer;
}

/** Answers the calls that come by its port. */
export class GatewayWorker {
  readonly #port: WorkerPort;
  readonly #overrides: GatewayOverrides;
  readonly #gate = new RequestGate();
  readonly #feed: EventFeed;
  readonly #memory: PageMemory;
  readonly #clients = new ClientAddresses();
  /** API servers of earlier runs, and when their connections are broken off. */
  readonly #retired = new Map<ApiServer, ReturnType<typeof setTimeout>>();
  #prepared: Listening | undefined;
  #current: Listening | undefined;
  #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #stopping = false;

  constructor(port: WorkerPort, overrides: GatewayOverrides = {}) {
    this.#port = port;
    this.#overrides = overrides;
    this.#feed = makeFeed(overrides.clock);
    this.#memory = makePageMemory(overrides.clock);
    port.onmessage = ({ data }) => this.#receive(data);
  }

  #receive(request: WorkerRequest): void {
    switch (request.kind) {
      case "disconnected":
        return this.#clients.disconnected(request.number);
      default:
        return void this.#reply(request);
    }
  }

  async #reply(call: WorkerCall & { readonly id: number }): Promise<void> {
    const { id } = call;
    try {
      await this.#answer(call);
      this.#port.postMessage({ kind: "reply", id });
    } catch (error) {
      this.#port.postMessage({ kind: "reply", id, error: messageOf(error) });
    }
  }

  #answer(call: WorkerCall): Promise<void> | void {
    switch (call.kind) {
      case "prepare":
        return this.#prepare(call.spec);
      case "run":
        return this.#run(call.graceMs);
      case "drain":
        return this.#current?.server.drain();
      case "stop":
        return this.#end(call.graceMs);
      case "connected":
        return this.#clients.connected(call.number, call.connection);
      case "ping":
        return;
      default:
        return call satisfies never;
    }
  }

  #prepare(spec: GatewaySpec): void {
    const { config, credentials } = spec;
    const log = this.#overrides.log ?? openLog(config.log.level, writeToStderr, spec.logStyle);
    const eventLog = new EventLog(log, config.log, takeDroppedLines);
    const server = this.#serverFor(credentials.api, (event) => eventLog.write(event));
    this.#prepared = { ...spec, log, server };
    this.#listening(server.port);
  }

  /** The current one if its certificate stays, and so do its connections; else a new one. */
  #serverFor(credentials: Credentials["api"], emit: Emit): ApiServer {
    const shown = this.#current?.credentials.api;
    const { certificate, key } = credentials;
    if (this.#current && shown?.certificate === certificate && shown.key === key) {
      return this.#current.server;
    }
    return new ApiServer({ host: LOOPBACK, port: 0 }, {
      emit,
      credentials,
      receive: (...one) => this.#gate.handle(...one),
      addressOf: (ends) => this.#clients.addressOf(ends),
      onListenAgain: (port) => this.#listening(port),
    });
  }

  #listening(port: number): void {
    this.#port.postMessage({ kind: "listening", port });
  }

  /** Resolves once messages flow; rejects if another run or a stop comes first. */
  async #run(graceMs: number): Promise<void> {
    const next = this.#prepared!;
    await this.#halt(graceMs);
    if (this.#stopping) throw new StartError("The gateway is stopping");
    if (this.#current?.server !== next.server) this.#retire(this.#current?.server);
    this.#current = next;
    this.#stop = new AbortController();
    const { promise: ready, resolve: onReady, reject } = Promise.withResolvers<void>();
    const { config, credentials, log } = next;
    const shared = { gate: this.#gate, feed: this.#feed, memory: this.#memory };
    const options = { ...this.#overrides, ...shared, credentials, log, onReady };
    this.#running = runGateway(config, this.#stop.signal, options).then(
      () => reject(new StartError("It was stopped before it was ready")),
      (error) => this.#port.postMessage({ kind: "failed", message: messageOf(error) }),
    );
    await ready;
  }

  async #halt(graceMs: number): Promise<void> {
    this.#stop.abort(graceMs);
    await this.#running;
  }

  /** What still comes by its open connections is answered like anything else. */
  #retire(server: ApiServer | undefined): void {
    if (!server) return;
    server.drain();
    this.#retired.set(server, setTimeout(() => this.#closeRetired(server), RETIRE_MS));
  }

  #closeRetired(server: ApiServer): void {
    clearTimeout(this.#retired.get(server));
    this.#retired.delete(server);
    server.abort();
  }

  async #end(graceMs: number): Promise<void> {
    this.#stopping = true;
    const servers = new Set([this.#current?.server, this.#prepared?.server]);
    for (const server of this.#retired.keys()) this.#closeRetired(server);
    const closed = Promise.all([...servers].map((server) => server?.shutdown(graceMs)));
    await this.#halt(graceMs);
    this.#gate.close();
    await closed;
  }
}

/** The message of an error that the site causes; any other is left to end the worker. */
function messageOf(error: unknown): string {
  if (error instanceof StartError || error instanceof StoreError) return error.message;
  const fault = systemFault(error);
  if (fault === undefined) throw error;
  return `${fault.reason}. ${fault.hint}`;
}
