/**
 * Runs the gateway in a worker that may do nothing but its job, and keeps it running.
 *
 * The rules are:
 * - the worker's permissions are computed from its configuration, each time it is made;
 * - a worker that dies, or answers nothing, is made anew after a wait that grows;
 * - a new configuration comes with a new worker: it listens beside the old one, which then ends in
 *   good order; the broker keeps what comes in between, and requests wait behind the API's door;
 * - where the new one does not do, the gateway goes back to the old configuration.
 */

import type { Assignment, Order, Word } from "./confined.ts";
import { StartError } from "./credentials.ts";
import { Door, type Host } from "./edge/door.ts";
import type { Log } from "./edge/log.ts";
import { permissionsOf } from "./permissions.ts";

/** How long a clean stop waits for what is under way, milliseconds. */
const STOP_GRACE_MS = 10_000;
/** The same where another worker takes over: what breaks off is tried again there. */
const HANDOVER_GRACE_MS = 2_000;
/** How long clients are told to end their connections before those are ended. */
const DRAIN_MS = 250;
/** What a worker may need beyond its grace before it is ended by force. */
const STOP_EXTRA_MS = 5_000;
/** How long a new configuration may take to be ready, where the old one was. */
const READY_TIMEOUT_MS = 10_000;
const ALIVE_TIMEOUT_MS = 10_000;
const LOOK_EVERY_MS = 10_000;
/** After so many turns of its event loop, a worker has accepted what was led to it. */
const TURNS = 2;
/** So many times in a row without an answer, and a worker counts as dead. */
const SILENCES_MAX = 3;
const RESTART_FIRST_MS = 1_000;
const RESTART_LONGEST_MS = 30_000;

/** What a confinement works with. */
export interface ConfinementOptions {
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

/** The gateway, confined; made anew where it dies, handed over where its assignment changes. */
export class Confinement {
  readonly #options: ConfinementOptions;
  readonly #stopped = Promise.withResolvers<undefined>();
  #stopping = false;
  #current: ConfinedGateway;
  #door: Door;
  #renewing: Promise<void> | undefined;
  #everReady = false;

  /** Opens the API's door; throws a `StartError` where another has its place. */
  constructor(assignment: Assignment, options: ConfinementOptions) {
    this.#options = options;
    this.#door = new Door(assignment.config.api, options);
    this.#current = this.#enter(assignment);
    this.#door.leadTo(this.#current);
  }

  /** Runs until `stop`; throws where it cannot start the first time. */
  async run(stop: AbortSignal): Promise<void> {
    stop.addEventListener("abort", () => {
      this.#stopping = true;
      this.#stopped.resolve(undefined);
    });
    const looking = setInterval(() => this.#look(), LOOK_EVERY_MS);
    this.#current.run();
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
   * Hands over to a new assignment; throws a `StartError` that says why where it does not do, and
   * the old one goes on. One at a time.
   */
  async renew(assignment: Assignment): Promise<void> {
    const renewing = this.#handOver(assignment);
    this.#renewing = renewing.catch(() => {});
    await renewing;
  }

  /** True where the gateway's worker answers: what a watchdog may be fed with. */
  async alive(): Promise<boolean> {
    return await this.#current.answers();
  }

  async #handOver(assignment: Assignment): Promise<void> {
    const before = this.#current;
    const door = sameAddress(before.assignment, assignment)
      ? this.#door
      : new Door(assignment.config.api, this.#options);
    const next = this.#enter(assignment);
    const needed = before.isReady;
    try {
      await this.#orStop(next.port);
      await this.#succeed(next, door);
      const ready = await this.#orStop(within(READY_TIMEOUT_MS, next.ready));
      if (!ready && needed) throw new StartError(`Not ready within ${READY_TIMEOUT_MS / 1000} s`);
    } catch (error) {
      if (door !== this.#door) door[Symbol.dispose]();
      if (this.#stopping) throw error;
      if (this.#current === next) await this.#succeed(this.#enter(before.assignment), this.#door);
      next.kill("it is not needed");
      throw error;
    }
    if (door !== this.#door) this.#door.close();
    this.#door = door;
  }

  /** `next` takes the place of the current one, which ends in good order. */
  async #succeed(next: ConfinedGateway, door: Door): Promise<void> {
    const before = this.#current;
    before.drain();
    await this.#orStop(pause(DRAIN_MS));
    this.#current = next;
    await Promise.all([door.leadTo(next), this.#door.leadTo(next)]);
    for (let i = 0; i < TURNS; i++) await before.answers();
    await before.stop(HANDOVER_GRACE_MS);
    next.run();
  }

  #enter(assignment: Assignment): ConfinedGateway {
    const gateway = new ConfinedGateway(assignment, this.#options.entry ?? Deno.mainModule);
    gateway.ready.then(() => {
      if (!this.#everReady) this.#options.onReady();
      this.#everReady = true;
    }, () => {}); // its end is seen elsewhere
    return gateway;
  }

  async #beginAgain(dead: ConfinedGateway, end: End, failures: number): Promise<void> {
    const delayMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (failures - 1));
    const message = `The gateway's worker ended, starting anew in ${delayMs} ms: ${reasonOf(end)}`;
    this.#options.log("error", "gateway_died", { message });
    await within(delayMs, this.#stopped.promise);
    if (dead !== this.#current) return; // renewed in the meantime
    this.#current = this.#enter(dead.assignment);
    this.#door.leadTo(this.#current);
    this.#current.run();
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

/** One worker with one assignment. */
class ConfinedGateway implements Host {
  readonly assignment: Assignment;
  /** Messages flow; rejects where it ends before. */
  readonly ready: Promise<true>;
  readonly ended: Promise<End>;
  isReady = false;
  /** How often in a row it did not answer. */
  silences = 0;
  readonly #worker: Worker;
  readonly #loaded = Promise.withResolvers<void>();
  readonly #ready = Promise.withResolvers<true>();
  readonly #end = Promise.withResolvers<End>();
  #port = Promise.withResolvers<number>();
  #pong = Promise.withResolvers<true>();

  constructor(assignment: Assignment, entry: string) {
    this.assignment = assignment;
    this.ready = this.#ready.promise;
    this.ended = this.#end.promise;
    for (const { promise } of [this.#ready, this.#port]) promise.catch(() => {});
    this.#worker = new Worker(entry, {
      type: "module",
      name: "gateway",
      deno: { permissions: permissionsOf(assignment.config) },
    });
    this.#worker.onmessage = ({ data }: MessageEvent<Word>) => this.#take(data);
    this.#worker.onerror = (event) => {
      event.preventDefault(); // or it would end the whole program
      this.kill(event.message);
    };
    this.#order({ kind: "listen", assignment });
  }

  get port(): Promise<number> {
    return this.#port.promise;
  }

  came(port: number, address: string): void {
    this.#order({ kind: "came", port, address });
  }

  gone(port: number): void {
    this.#order({ kind: "gone", port });
  }

  run(): void {
    this.#order({ kind: "run" });
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

  kill(message: string): void {
    this.#finish({ kind: "died", message });
  }

  /** True where it answers in time. */
  async answers(): Promise<boolean> {
    this.#order({ kind: "ping" });
    const answer = await within(ALIVE_TIMEOUT_MS, Promise.race([this.#pong.promise, this.ended]));
    this.silences = answer === true ? 0 : this.silences + 1;
    return answer === true;
  }

  #take(word: Word): void {
    switch (word.kind) {
      case "loaded":
        return this.#loaded.resolve();
      case "listening":
        return this.#listens(word.port);
      case "ready":
        this.isReady = true;
        return this.#ready.resolve(true);
      case "pong":
        this.#pong.resolve(true);
        this.#pong = Promise.withResolvers();
        return;
      case "stopped":
      case "failed":
        return this.#finish(word);
      default:
        return word satisfies never;
    }
  }

  #listens(port: number): void {
    this.#port.resolve(port);
    this.#port = Promise.withResolvers(); // where it has to listen anew
    this.#port.resolve(port);
  }

  #finish(end: End): void {
    this.#end.resolve(end);
    for (const { reject } of [this.#ready, this.#port]) reject(errorOf(end));
    this.#worker.terminate();
  }

  /** A worker hears nothing before it has loaded. */
  async #order(order: Order): Promise<void> {
    await Promise.race([this.#loaded.promise, this.ended]);
    this.#worker.postMessage(order);
  }
}

function sameAddress({ config: { api: a } }: Assignment, { config: { api: b } }: Assignment) {
  return a.host === b.host && a.port === b.port;
}

function errorOf(end: End): Error {
  return end.kind === "failed" ? new StartError(end.message) : new Error(reasonOf(end));
}

function reasonOf(end: End): string {
  return end.kind === "stopped" ? "it stopped by itself" : end.message;
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
