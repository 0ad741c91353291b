/**
 * Keeps one gateway running in a worker that has no permissions but those its job needs.
 *
 * The rules are:
 * - the worker's permissions are computed from its configuration, each time one is started;
 * - a worker that dies, or misses too many pings, is restarted after a delay that grows;
 * - a reload prepares the new configuration beside what runs, and then runs it instead; the broker
 *   keeps the messages that come in between, and API requests wait in the request gate;
 * - if it needs other permissions, it runs in a new worker;
 * - if the new configuration does not work, the gateway rolls back to the previous one.
 */

import { StartError } from "../config/credentials.ts";
import type { Emit } from "../core/event.ts";
import type { GatewaySpec, SupervisorPort } from "./protocol.ts";
import { TcpProxy } from "./tcp_proxy.ts";
import { pause, within } from "./timing.ts";
import {
  errorOf,
  reasonOf,
  startSandboxedWorker,
  type WorkerEnd,
  WorkerHandle,
} from "./worker_handle.ts";

/** How long a clean stop waits for open requests, milliseconds. */
const STOP_GRACE_MS = 10_000;
/** The same if another run follows: what is broken off is tried again there. */
const HANDOVER_GRACE_MS = 2_000;
/** How long clients are told to end their connections before those are ended. */
const DRAIN_MS = 500;
/** How long a new configuration may take to be ready, if the previous one was. */
const READY_TIMEOUT_MS = 10_000;
const HEALTH_CHECK_INTERVAL_MS = 10_000;
/** A worker that misses so many pings in a row counts as dead. */
const MISSED_PINGS_MAX = 3;
const RESTART_FIRST_MS = 1_000;
const RESTART_LONGEST_MS = 30_000;

/** What a supervisor works with. */
interface SupervisorOptions {
  readonly emit: Emit;
  /** Messages flow, for the first time. */
  readonly onReady: () => void;
  /** Starts a worker; the program's own in a sandbox unless a test has another. */
  readonly startWorker?: (spec: GatewaySpec) => SupervisorPort;
}

/** Keeps one gateway running. */
export class Supervisor {
  readonly #options: SupervisorOptions;
  readonly #stopped = Promise.withResolvers<undefined>();
  #stopping = false;
  #current: WorkerHandle;
  #proxy: TcpProxy;
  #reloading: Promise<void> | undefined;
  #everReady = false;

  /** Listens for the API at once; throws a `StartError` if it cannot. */
  constructor(spec: GatewaySpec, options: SupervisorOptions) {
    this.#options = options;
    this.#proxy = new TcpProxy(spec.config.api, options);
    this.#current = this.#start(spec);
  }

  /** Runs until `stop`; throws if the first start fails. */
  async run(stop: AbortSignal): Promise<void> {
    stop.addEventListener("abort", () => {
      this.#stopping = true;
      this.#stopped.resolve(undefined);
    });
    const healthChecks = setInterval(() => this.#healthCheck(), HEALTH_CHECK_INTERVAL_MS);
    try {
      for (let failures = 0; !stop.aborted;) {
        const worker = this.#current;
        const end = await Promise.race([worker.ended, this.#stopped.promise]);
        await this.#reloading;
        if (end === undefined || end.kind === "stopped" || worker !== this.#current) continue;
        if (!this.#everReady) throw errorOf(end);
        failures = worker.isReady ? 1 : failures + 1;
        await this.#restart(worker, end, failures);
      }
    } finally {
      clearInterval(healthChecks);
      this.#proxy.close();
      await this.#current.stop(STOP_GRACE_MS);
      await this.#proxy[Symbol.asyncDispose]();
    }
  }

  /**
   * Changes to a new spec, one at a time; if that does not work, the previous spec goes on, and a
   * `StartError` says why.
   */
  async reload(spec: GatewaySpec): Promise<void> {
    const reloading = this.#reload(spec);
    this.#reloading = reloading.catch(() => {});
    await reloading;
  }

  /** True if the worker answers: what a watchdog may be fed with. */
  async isAlive(): Promise<boolean> {
    return await this.#current.ping();
  }

  async #reload(spec: GatewaySpec): Promise<void> {
    const { spec: previous, isReady: wasReady } = this.#current;
    const proxy = sameAddress(previous, spec)
      ? this.#proxy
      : new TcpProxy(spec.config.api, this.#options);
    const next = this.#current.mayRun(spec) ? this.#current : this.#startWorker(spec);
    let switched = false;
    try {
      await this.#unlessStopped(next.prepare(spec));
      switched = true;
      await this.#switchTo(next, proxy);
      const running = this.#runIn(next, spec, HANDOVER_GRACE_MS);
      const ready = await this.#unlessStopped(within(READY_TIMEOUT_MS, running));
      if (!ready && wasReady) throw new StartError(`Not ready within ${READY_TIMEOUT_MS / 1000} s`);
    } catch (error) {
      if (proxy !== this.#proxy) await proxy[Symbol.asyncDispose]();
      if (switched && !this.#stopping) await this.#rollBack(next, previous);
      if (next !== this.#current) next.kill("it is not needed");
      throw error;
    }
    if (proxy !== this.#proxy) this.#proxy.close();
    this.#proxy = proxy;
  }

  async #rollBack(failed: WorkerHandle, previous: GatewaySpec): Promise<void> {
    const worker = failed.mayRun(previous) ? failed : this.#startWorker(previous);
    await worker.prepare(previous).catch((error) => worker.fail(error));
    await this.#switchTo(worker, this.#proxy);
    this.#runIn(worker, previous, HANDOVER_GRACE_MS);
  }

  /** `next`, which may be the current worker, becomes it; the other one stops cleanly. */
  async #switchTo(next: WorkerHandle, proxy: TcpProxy): Promise<void> {
    const before = this.#current;
    this.#current = next;
    this.#proxy.switchTo(next);
    proxy.switchTo(next);
    if (before === next) return;
    before.drain();
    await pause(DRAIN_MS);
    await before.stop(HANDOVER_GRACE_MS);
  }

  /** A new worker runs `spec` as soon as it can. */
  #start(spec: GatewaySpec): WorkerHandle {
    const worker = this.#startWorker(spec);
    this.#proxy.switchTo(worker);
    worker.prepare(spec).then(
      () => void this.#runIn(worker, spec, 0),
      (error) => worker.fail(error),
    );
    return worker;
  }

  #startWorker(spec: GatewaySpec): WorkerHandle {
    const start = this.#options.startWorker ?? startSandboxedWorker;
    return new WorkerHandle(spec, start(spec));
  }

  /** Resolves once messages flow; a rejection is for those that wait for it. */
  #runIn(worker: WorkerHandle, spec: GatewaySpec, graceMs: number): Promise<true> {
    const running = worker.run(spec, graceMs);
    running.then(() => {
      if (!this.#everReady) this.#options.onReady();
      this.#everReady = true;
    }, () => {}); // its end is seen by `run`
    return running;
  }

  async #restart(dead: WorkerHandle, end: WorkerEnd, failures: number): Promise<void> {
    const restartMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (failures - 1));
    this.#options.emit({ kind: "worker_died", reason: reasonOf(end), restartMs });
    await within(restartMs, this.#stopped.promise);
    await this.#reloading;
    if (dead !== this.#current || this.#stopping) return; // reloaded in the meantime
    this.#current = this.#start(dead.spec);
  }

  /** Waits for `work`, but not beyond a stop. */
  async #unlessStopped<T>(work: Promise<T>): Promise<T> {
    const stopped = this.#stopped.promise.then(() => {
      throw new StartError("The gateway is stopping");
    });
    return await Promise.race([work, stopped]);
  }

  async #healthCheck(): Promise<void> {
    const worker = this.#current;
    if (await worker.ping()) return;
    if (worker.missedPings >= MISSED_PINGS_MAX) worker.kill("it does not answer");
  }
}

function sameAddress({ config: { api: a } }: GatewaySpec, { config: { api: b } }: GatewaySpec) {
  return a.host === b.host && a.port === b.port;
}
