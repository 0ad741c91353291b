/**
 * Runs the gateway in a worker that may do nothing but its job, and keeps it running.
 *
 * The rules are:
 * - the worker's permissions are computed from its configuration, each time it is made;
 * - a worker that dies, or answers nothing, is made anew after a wait that grows;
 * - a new configuration comes with a new worker: it listens beside the old one, which then ends in
 *   good order; the broker keeps what comes in between, and requests wait at the new one's door;
 * - where the new one does not do, the gateway goes back to the old configuration.
 */

import type { Assignment, Order, Word } from "./confined.ts";
import { StartError } from "./credentials.ts";
import type { Log } from "./edge/log.ts";
import { permissionsOf } from "./permissions.ts";

/** How long a clean stop waits for what is under way, milliseconds. */
const STOP_GRACE_MS = 10_000;
/** The same where another worker takes over: what breaks off is tried again there. */
const HANDOVER_GRACE_MS = 2_000;
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
  #current: ConfinedGateway;
  #renewing: Promise<void> | undefined;
  #everReady = false;

  /** Throws a `StartError` where something else has the API's port. */
  constructor(assignment: Assignment, options: ConfinementOptions) {
    this.#options = options;
    refuseTakenPort(assignment);
    this.#current = this.#enter(assignment);
  }

  /** Runs until `stop`; throws where it cannot start the first time. */
  async run(stop: AbortSignal): Promise<void> {
    stop.addEventListener("abort", () => this.#stopped.resolve(undefined));
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
      await this.#current.stop(STOP_GRACE_MS);
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
    if (!sameAddress(before.assignment, assignment)) refuseTakenPort(assignment);
    const next = this.#enter(assignment);
    const refusal = await this.#orStop(Promise.race([next.listening, next.ended]));
    if (refusal) throw errorOf(refusal);
    const needed = before.isReady;
    this.#current = next;
    await before.stop(HANDOVER_GRACE_MS);
    next.run();
    const outcome = Promise.race([next.ready.then(() => "ready" as const), next.ended]);
    const end = await this.#orStop(within(READY_TIMEOUT_MS, outcome));
    if (end === "ready" || (end === undefined && !needed)) return;
    await this.#goBack(before.assignment);
    throw errorOf(
      end ?? { kind: "failed", message: `Not ready within ${READY_TIMEOUT_MS / 1000} s` },
    );
  }

  async #goBack(assignment: Assignment): Promise<void> {
    const bad = this.#current;
    this.#current = this.#enter(assignment);
    await this.#orStop(Promise.race([this.#current.listening, this.#current.ended]));
    await bad.stop(HANDOVER_GRACE_MS);
    this.#current.run();
  }

  #enter(assignment: Assignment): ConfinedGateway {
    const gateway = new ConfinedGateway(assignment, this.#options.entry ?? Deno.mainModule);
    gateway.ready.then(() => {
      if (!this.#everReady) this.#options.onReady();
      this.#everReady = true;
    });
    return gateway;
  }

  async #beginAgain(dead: ConfinedGateway, end: End, failures: number): Promise<void> {
    const delayMs = Math.min(RESTART_LONGEST_MS, RESTART_FIRST_MS * 2 ** (failures - 1));
    const message = `The gateway's worker ended, starting anew in ${delayMs} ms: ${reasonOf(end)}`;
    this.#options.log("error", "gateway_died", { message });
    await within(delayMs, this.#stopped.promise);
    if (dead !== this.#current) return; // renewed in the meantime
    this.#current = this.#enter(dead.assignment);
    this.#current.run();
  }

  #orStop<T>(work: Promise<T>): Promise<T | undefined> {
    return Promise.race([work, this.#stopped.promise]);
  }

  async #look(): Promise<void> {
    const gateway = this.#current;
    if (await gateway.answers()) return;
    if (gateway.silences >= SILENCES_MAX) gateway.kill("it does not answer");
  }
}

/** One worker with one assignment. */
class ConfinedGateway {
  readonly assignment: Assignment;
  readonly listening: Promise<void>;
  readonly ready: Promise<void>;
  readonly ended: Promise<End>;
  isReady = false;
  /** How often in a row it did not answer. */
  silences = 0;
  readonly #worker: Worker;
  readonly #heard = new Map<Word["kind"], PromiseWithResolvers<void>>();
  readonly #end = Promise.withResolvers<End>();

  constructor(assignment: Assignment, entry: string) {
    this.assignment = assignment;
    this.listening = this.#hear("listening");
    this.ready = this.#hear("ready").then(() => void (this.isReady = true));
    this.ended = this.#end.promise;
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

  run(): void {
    this.#order({ kind: "run" });
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
    const pong = this.#hear("pong").then(() => true);
    this.#order({ kind: "ping" });
    const answered = await within(ALIVE_TIMEOUT_MS, Promise.race([pong, this.ended])) === true;
    this.silences = answered ? 0 : this.silences + 1;
    return answered;
  }

  #hear(kind: Word["kind"]): Promise<void> {
    const heard = this.#heard.get(kind) ?? Promise.withResolvers<void>();
    this.#heard.set(kind, heard);
    return heard.promise;
  }

  #take(word: Word): void {
    this.#hear(word.kind);
    this.#heard.get(word.kind)!.resolve();
    if (word.kind === "pong") this.#heard.delete("pong");
    if (word.kind === "stopped" || word.kind === "failed") this.#finish(word as End);
  }

  #finish(end: End): void {
    this.#end.resolve(end);
    this.#worker.terminate();
  }

  /** A worker hears nothing before it has loaded. */
  async #order(order: Order): Promise<void> {
    await Promise.race([this.#hear("loaded"), this.ended]);
    this.#worker.postMessage(order);
  }
}

/** Listeners share the API's port while one takes over from another; nobody else may have it. */
function refuseTakenPort({ config: { api } }: Assignment): void {
  try {
    Deno.listen({ hostname: api.host, port: api.port }).close();
  } catch (error) {
    throw new StartError(`Cannot listen on ${api.host}:${api.port}: ${(error as Error).message}`);
  }
}

function sameAddress({ config: { api: a } }: Assignment, { config: { api: b } }: Assignment) {
  return a.host === b.host && a.port === b.port;
}

function reasonOf(end: End): string {
  return end.kind === "stopped" ? "it stopped by itself" : end.message;
}

function errorOf(end: End): Error {
  return end.kind === "failed" ? new StartError(end.message) : new Error(reasonOf(end));
}

/** Undefined where it takes longer. */
async function within<T>(timeoutMs: number, work: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), timeoutMs);
  const result = await Promise.race([work, late]);
  clearTimeout(timer);
  return result;
}
