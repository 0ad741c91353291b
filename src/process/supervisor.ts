/**
 * Runs the gateway in a worker that may do nothing but its job, and keeps it running.
 *
 * The rules are:
 * - the worker's permissions are computed from its configuration, each time it is made;
 * - a worker that dies, or answers nothing, is made anew after a wait that grows;
 * - a new configuration is prepared beside what runs, and then runs in its place; the broker keeps
 *   what comes in between, and requests wait behind the API's door;
 * - where it needs other permissions, it comes with a new worker;
 * - where the new one does not do, the gateway goes back to the old configuration.
 */

import type { GatewaySpec, WorkerReply, WorkerRequest } from "./worker.ts";
import { StartError } from "../config/credentials.ts";
import { TcpProxy, type Upstream } from "./tcp_proxy.ts";
import type { Log } from "../log/log.ts";
import { permissionsOf } from "./permissions.ts";

/** How long a clean stop waits for what is under way, milliseconds. */
const STOP_GRACE_MS = 10_000;
/** The same where another worker takes over: what breaks off is tried again there. */
const HANDOVER_GRACE_MS = 2_000;
/** How long clients are told to end their connections before those are ended. */
const DRAIN_MS = 500;
/** What a worker may need beyond its grace before it is ended by force. */
const STOP_EXTRA_MS = 5_000;
/** How long a new configuration may take to be ready, where the old one was. */
const READY_TIMEOUT_MS = 10_000;
const ALIVE_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 10_000;
/** So many times in a row without an answer, and a worker counts as dead. */
const SILENCES_MAX = 3;
const RESTART_FIRST_MS = 1_000;
const RESTART_LONGEST_MS = 30_000;

/** What a confinement works with. */
export interface SupervisorOptions {
  readonly log: Log;
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
  /** The module that the worker starts with; the program's own unless a test has another. */
  readonly entry?: string;
}

/** How a worker ended. */
type End =
  | { readonly kind: "stopped" }
  /** The site's fault; the message is for the operator. */
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "died"; readonly message: string };

/** The gateway, confined; made anew where it dies, handed over where its spec changes. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #stopped = Promise.withResolvers<undefined>();
  #stopping = false;
  #current: WorkerHandle;
  #door: TcpProxy;
  #renewing: Promise<void> | undefined;
  #everReady = false;

  /** Opens the API's door; throws a `StartError` where another has its place. */
  constructor(spec: GatewaySpec, options: SupervisorOptions) {
    this.#options = options;
    this.#door = new TcpProxy(spec.config.api, options);
    this.#current = this.#begin(spec);
  }

  /** Runs until `stop`; throws where it cannot start the first time. */
  async run(stop: AbortSignal): Promise<void> {
    stop.addEventListener("abort", () => {
      this.#stopping = true;
      this.#stopped.resolve(undefined);
    });
    const looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    try {
      for (let failures = 0; !stop.aborted;) {
        const gateway = this.#current;
        const end = await Promise.race([gateway.ended, this.#stopped.promise]);
        await this.#renewing;
        if (end === undefined || end.kind === "stopped" || gateway !== this.#current) continue;
        if (!this.#everReady) throw errorOf(end);
        failures = gateway.isReady ? 1 : failures + 1;
        await this.#beginAgain(gateway, end, failures);
      }
    } finally {
      clearInterval(looking);
      this.#door.close();
      await this.#current.stop(STOP_GRACE_MS);
      this.#door[Symbol.dispose]();
    }
  }

  /**
   * Hands over to a new spec; throws a `StartError` that says why where it does not do, and
   * the old one goes on. One at a time.
   */
  async reload(spec: GatewaySpec): Promise<void> {
    const renewing = this.#handOver(spec);
    this.#renewing = renewing.catch(() => {});
    await renewing;
  }

  /** True where the gateway's worker answers: what a watchdog may be fed with. */
  async isAlive(): Promise<boolean> {
    return await this.#current.answers();
  }

  async #handOver(spec: GatewaySpec): Promise<void> {
    const before = this.#current;
    const earlier = before.spec;
    const needed = before.isReady;
    const door = sameAddress(earlier, spec)
      ? this.#door
      : new TcpProxy(spec.config.api, this.#options);
    const next = before.mayRun(spec) ? before : this.#enter(spec);
    let changed = false;
    try {
      await this.#orStop(next.prepare(spec));
      changed = true;
      await this.#change(next, spec, door);
      const ready = await this.#orStop(within(READY_TIMEOUT_MS, next.ready));
      if (!ready && needed) throw new StartError(`Not ready within ${READY_TIMEOUT_MS / 1000} s`);
    } catch (error) {
      if (door !== this.#door) door[Symbol.dispose]();
      if (changed && !this.#stopping) await this.#goBack(next, earlier);
      if (next !== this.#current) next.kill("it is not needed");
      throw error;
    }
    if (door !== this.#door) this.#door.close();
    this.#door = door;
  }

  async #goBack(bad: WorkerHandle, earlier: GatewaySpec): Promise<void> {
    const back = bad.mayRun(earlier) ? bad : this.#enter(earlier);
    await back.prepare(earlier).catch((error) => back.fail(error));
    await this.#change(back, earlier, this.#door);
  }

  /** `next` runs in place of the current one, which may be itself, and ends in good order. */
  async #change(next: WorkerHandle, spec: GatewaySpec, door: TcpProxy): Promise<void> {
    const before = this.#current;
    this.#current = next;
    this.#door.switchTo(next);
    door.switchTo(next);
    if (before !== next) {
      before.drain();
      await pause(DRAIN_MS);
      await before.stop(HANDOVER_GRACE_MS);
    }
    next.run(spec, HANDOVER_GRACE_MS);
  }

  /** A new worker takes the current one's place at once. */
  #begin(spec: GatewaySpec): WorkerHandle {
    const gateway = this.#enter(spec);
    this.#door.switchTo(gateway);
    gateway.prepare(spec).then(() => gateway.run(spec, 0)).catch((error) => gateway.fail(error));
    return gateway;
  }

  #enter(spec: GatewaySpec): WorkerHandle {
    return new WorkerHandle(spec, this.#options.entry ?? Deno.mainModule, () => {
      if (!this.#everReady) this.#options.onReady();
      this.#everReady = true;
    });
  }

  async #beginAgain(dead: WorkerHandle, end: End, failures: number): Promise<void> {
    const delayMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (failures - 1));
    const message = `The gateway's worker ended, starting anew in ${delayMs} ms: ${reasonOf(end)}`;
    this.#options.log("error", "gateway_died", { message });
    await within(delayMs, this.#stopped.promise);
    await this.#renewing;
    if (dead !== this.#current || this.#stopping) return; // renewed in the meantime
    this.#current = this.#begin(dead.spec);
  }

  /** Waits no longer than the gateway is to run. */
  async #orStop<T>(work: Promise<T>): Promise<T> {
    const stopped = this.#stopped.promise.then(() => {
      throw new StartError("The gateway is stopping");
    });
    return await Promise.race([work, stopped]);
  }

  async #look(): Promise<void> {
    const gateway = this.#current;
    if (await gateway.answers()) return;
    if (gateway.silences >= SILENCES_MAX) gateway.kill("it does not answer");
  }
}

/** One worker. */
class WorkerHandle implements Upstream {
  /** What it runs, or will run first. */
  spec: GatewaySpec;
  readonly ended: Promise<End>;
  isReady = false;
  /** How often in a row it did not answer. */
  silences = 0;
  readonly #permissions: Deno.PermissionOptionsObject;
  readonly #worker: Worker;
  readonly #onReady: () => void;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #end = Promise.withResolvers<End>();
  #over = false;
  #prepared = promised<void>();
  #port = promised<number>();
  #ready = promised<true>();
  #pong = promised<true>();

  constructor(spec: GatewaySpec, entry: string, onReady: () => void) {
    this.spec = spec;
    this.ended = this.#end.promise;
    this.#onReady = onReady;
    this.#permissions = permissionsOf(spec.config);
    const deno = { permissions: this.#permissions };
    this.#worker = new Worker(entry, { type: "module", name: "gateway", deno });
    this.#worker.onmessage = ({ data }: MessageEvent<WorkerReply>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault(); // or it would end the whole program
      this.kill(event.message);
    };
  }

  get port(): Promise<number> {
    return this.#port.promise;
  }

  /** Messages flow in the latest run; rejects where it ends before. */
  get ready(): Promise<true> {
    return this.#ready.promise;
  }

  /** True where it can run another spec: a worker's permissions are for good. */
  mayRun({ config }: GatewaySpec): boolean {
    const permissions = permissionsOf(config);
    return !this.#over && JSON.stringify(permissions) === JSON.stringify(this.#permissions);
  }

  /** Makes ready to run an spec, while what runs goes on; rejects where that cannot be. */
  async prepare(spec: GatewaySpec): Promise<void> {
    this.#prepared = promised();
    this.#order({ kind: "prepare", spec });
    const end = this.ended.then((end) => Promise.reject(errorOf(end)));
    await Promise.race([this.#prepared.promise, end]);
  }

  /** Runs what was prepared, in place of what runs. */
  run(spec: GatewaySpec, graceMs: number): void {
    this.spec = spec;
    this.isReady = false;
    if (!this.#over) this.#ready = promised();
    this.#order({ kind: "run", graceMs });
  }

  connected(port: number, address: string): void {
    this.#order({ kind: "came", port, address });
  }

  disconnected(port: number): void {
    this.#order({ kind: "gone", port });
  }

  /** Lets clients end their connections. */
  drain(): void {
    this.#order({ kind: "drain" });
  }

  /** Ends it in good order, or by force where it does not obey. */
  async stop(graceMs: number): Promise<void> {
    this.#order({ kind: "stop", graceMs });
    const end = await within(graceMs + STOP_EXTRA_MS, this.ended);
    if (end === undefined) this.kill("it did not stop in time");
  }

  /** Ends it by force. */
  kill(message: string): void {
    this.#finish({ kind: "died", message });
  }

  /** Ends it because of what is the site's fault. */
  fail({ message }: Error): void {
    this.#finish({ kind: "failed", message });
  }

  /** True where it answers in time. */
  async answers(): Promise<boolean> {
    this.#order({ kind: "ping" });
    const answer = await within(ALIVE_TIMEOUT_MS, Promise.race([this.#pong.promise, this.ended]));
    this.silences = answer === true ? 0 : this.silences + 1;
    return answer === true;
  }

  #take(word: WorkerReply): void {
    switch (word.kind) {
      case "loaded":
        return this.#loaded.resolve();
      case "prepared":
        return this.#listens(word.port);
      case "unprepared":
        return this.#prepared.reject(new StartError(word.message));
      case "ready":
        this.isReady = true;
        this.#ready.resolve(true);
        return this.#onReady();
      case "pong":
        this.#pong.resolve(true);
        this.#pong = promised();
        return;
      case "stopped":
      case "failed":
      case "died":
        return this.#finish(word);
      default:
        return word satisfies never;
    }
  }

  #listens(port: number): void {
    this.#port.resolve(port); // for those that wait
    this.#port = promised();
    this.#port.resolve(port);
    this.#prepared.resolve();
  }

  #finish(end: End): void {
    this.#over = true;
    this.#end.resolve(end);
    for (const { reject } of [this.#ready, this.#port]) reject(errorOf(end));
    this.#worker.terminate();
  }

  /** A worker hears nothing before it has loaded. */
  async #order(order: WorkerRequest): Promise<void> {
    await Promise.race([this.#loaded.promise, this.ended]);
    this.#worker.postMessage(order);
  }
}

function sameAddress({ config: { api: a } }: GatewaySpec, { config: { api: b } }: GatewaySpec) {
  return a.host === b.host && a.port === b.port;
}

function errorOf(end: End): Error {
  return end.kind === "failed" ? new StartError(end.message) : new Error(reasonOf(end));
}

function reasonOf(end: End): string {
  return end.kind === "stopped" ? "it stopped by itself" : end.message;
}

/** A promise whose rejection may go unheard. */
function promised<T>(): PromiseWithResolvers<T> {
  const promised = Promise.withResolvers<T>();
  promised.promise.catch(() => {});
  return promised;
}

function pause(delayMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, delayMs));
}

/** Undefined where it takes longer. */
async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  return await Promise.race([work, late]).finally(() => clearTimeout(timer));
}
