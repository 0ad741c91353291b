/** One worker, as the supervisor sees it: calls with replies, and how it ended. */

import { StartError } from "../config/credentials.ts";
import type { ClientConnection } from "./client_addresses.ts";
import { permissionsOf } from "./permissions.ts";
import type {
  GatewaySpec,
  SupervisorPort,
  WorkerCall,
  WorkerMessage,
  WorkerRequest,
} from "./protocol.ts";
import type { Upstream } from "./tcp_proxy.ts";
import { within } from "./timing.ts";

/** What a worker may need beyond its grace before it is terminated, milliseconds. */
const STOP_EXTRA_MS = 5_000;
const PING_TIMEOUT_MS = 10_000;

/** How a worker ended. */
export type WorkerEnd =
  | { readonly kind: "stopped" }
  /** Because of the site; the message is for the operator. */
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "died"; readonly message: string };

/** Starts the module at `entry` in a worker that has just the permissions its spec needs. */
export function startSandboxedWorker(
  { config }: GatewaySpec,
  entry: string = Deno.mainModule,
): SupervisorPort {
  const deno = { permissions: permissionsOf(config) };
  return new Worker(entry, { type: "module", name: "gateway", deno });
}

/** One worker. */
export class WorkerHandle implements Upstream {
  /** What it runs, or will run first. */
  spec: GatewaySpec;
  /** Messages flow in the latest run. */
  isReady = false;
  /** How many pings in a row were not answered. */
  missedPings = 0;
  readonly ended: Promise<WorkerEnd>;
  readonly #permissions: string;
  readonly #worker: SupervisorPort;
  readonly #ending = Promise.withResolvers<WorkerEnd>();
  readonly #listening = Promise.withResolvers<void>();
  readonly #calls = new Map<number, PromiseWithResolvers<void>>();
  /** Requests from before it has loaded: a worker receives nothing earlier. */
  #queued: WorkerRequest[] | undefined = [];
  #callCount = 0;
  #clientCount = 0;
  #port = 0;
  #end: WorkerEnd | undefined;

  constructor(spec: GatewaySpec, worker: SupervisorPort) {
    this.spec = spec;
    this.ended = this.#ending.promise;
    this.#listening.promise.catch(() => {}); // a client may never come
    this.#permissions = JSON.stringify(permissionsOf(spec.config));
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#receive(data);
    worker.onerror = (event) => {
      event.preventDefault(); // or it would end the whole program
      this.kill(event.message);
    };
  }

  /** Where it listens; rejects if it ends before. */
  get port(): Promise<number> {
    return this.#listening.promise.then(() => this.#port);
  }

  /** True if it can run another spec: a worker's permissions never change. */
  mayRun({ config }: GatewaySpec): boolean {
    return !this.#end && JSON.stringify(permissionsOf(config)) === this.#permissions;
  }

  /** Resolves with the reply; rejects with its error, or if the worker ends before. */
  call(call: WorkerCall): Promise<void> {
    if (this.#end) return Promise.reject(errorOf(this.#end));
    const id = ++this.#callCount;
    const reply = Promise.withResolvers<void>();
    this.#calls.set(id, reply);
    this.#send({ ...call, id });
    return reply.promise;
  }

  /** Gets ready to run a spec, while what runs goes on; rejects if that cannot be. */
  async prepare(spec: GatewaySpec): Promise<void> {
    await this.call({ kind: "prepare", spec });
  }

  /** Runs what was prepared instead of what runs; resolves once messages flow. */
  async run(spec: GatewaySpec, graceMs: number): Promise<true> {
    this.spec = spec;
    this.isReady = false;
    await this.call({ kind: "run", graceMs });
    if (this.spec === spec) this.isReady = true;
    return true;
  }

  async connected(connection: ClientConnection): Promise<Disposable> {
    const number = ++this.#clientCount;
    await this.call({ kind: "connected", number, connection });
    return { [Symbol.dispose]: () => this.#send({ kind: "disconnected", number }) };
  }

  /** Lets clients end their connections. */
  drain(): void {
    this.call({ kind: "drain" }).catch(() => {}); // it has ended: nothing is left to drain
  }

  /** Stops it cleanly, or by force if that takes too long. */
  async stop(graceMs: number): Promise<void> {
    this.call({ kind: "stop", graceMs })
      .then(() => this.#finish({ kind: "stopped" }), () => {}); // it has ended
    const end = await within(graceMs + STOP_EXTRA_MS, this.ended);
    if (end === undefined) this.kill("it did not stop in time");
  }

  /** Terminates it. */
  kill(message: string): void {
    this.#finish({ kind: "died", message });
  }

  /** Terminates it because of the site. */
  fail({ message }: Error): void {
    this.#finish({ kind: "failed", message });
  }

  /** True if it answers in time. */
  async ping(): Promise<boolean> {
    const pong = this.call({ kind: "ping" }).then(() => true, () => false);
    const answered = await within(PING_TIMEOUT_MS, pong) ?? false;
    this.missedPings = answered ? 0 : this.missedPings + 1;
    return answered;
  }

  #receive(message: WorkerMessage): void {
    switch (message.kind) {
      case "reply": {
        const call = this.#calls.get(message.id);
        this.#calls.delete(message.id);
        if (message.error === undefined) call?.resolve();
        else call?.reject(new StartError(message.error));
        return;
      }
      case "loaded":
        for (const request of this.#queued ?? []) this.#worker.postMessage(request);
        this.#queued = undefined;
        return;
      case "listening":
        this.#port = message.port;
        return this.#listening.resolve();
      case "failed":
      case "died":
        return this.#finish(message);
      default:
        return message satisfies never;
    }
  }

  #finish(end: WorkerEnd): void {
    if (this.#end) return;
    this.#end = end;
    this.#ending.resolve(end);
    for (const { reject } of [this.#listening, ...this.#calls.values()]) reject(errorOf(end));
    this.#calls.clear();
    this.#worker.terminate();
  }

  #send(request: WorkerRequest): void {
    if (this.#end) return;
    if (this.#queued) this.#queued.push(request);
    else this.#worker.postMessage(request);
  }
}

/** The error that an end amounts to. */
export function errorOf(end: WorkerEnd): Error {
  return end.kind === "failed" ? new StartError(end.message) : new Error(reasonOf(end));
}

/** Why it ended. */
export function reasonOf(end: WorkerEnd): string {
  return end.kind === "stopped" ? "it stopped by itself" : end.message;
}
