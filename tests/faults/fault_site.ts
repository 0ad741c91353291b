/** A site with a real broker, a gateway process that may die, a fleet, and a judge in the end. */

import { DatabaseSync } from "node:sqlite";
import { poll } from "../../src/time/poll.ts";
import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";
import { carriedBy } from "../support/batch_backend.ts";
import { LiveSite, type LiveSiteOptions } from "../support/live_site.ts";
import { withFolder } from "../support/with_folder.ts";
import {
  check,
  type Evidence,
  type Figures,
  type SentMessage,
  type StoreContents,
} from "./checker.ts";
import { Fleet, type FleetOptions } from "./fleet.ts";
import { type Failpoint, GatewayLife } from "./gateway_life.ts";
import { contentsOf, installWitness } from "./witness.ts";

/** How long the harness waits for what must come. */
export const WAIT_MAX_MS = 60_000;

/** How long after its death a gateway's last POSTs may still arrive. */
const LAST_WORDS_MS = 100;

/** How long the harness waits for the store, which the gateway writes to all the time. */
const LOCK_TIMEOUT_MS = 5_000;

const LAST_WORDS_MAX_CHARS = 4_000;

const SETTLE_TIMEOUT_MS = 300_000;

/** When answers have stopped coming, milliseconds: those that are missing then are lost. */
const ANSWERS_QUIET_MS = 1_500;

/** What a scenario asks for. */
export interface FaultSiteOptions extends Omit<LiveSiteOptions, "start"> {
  readonly fleet: FleetOptions;
  /** Lines to put on top of mosquitto.conf. */
  readonly moreBrokerLines?: readonly string[];
}

/** How a scenario ends. */
export interface Ending extends Pick<Evidence, "droppedByBroker" | "onceOnly"> {
  /** The broker has died, and answers with it: not every message is seen answered. */
  readonly answersMayBeLost?: boolean;
  /** Readings of devices that are not of the fleet. */
  readonly others?: readonly SentMessage[];
  /** Messages that may never arrive, such as those that the broker has dropped. */
  readonly mayBeMissing?: boolean;
}

/** Runs `work` on a site with a fleet; stops everything, whatever happens. */
export async function withFaultSite<T>(
  work: (site: FaultSite) => Promise<T>,
  options: FaultSiteOptions,
): Promise<T> {
  return await withFolder(async (folder) => {
    const live = await LiveSite.make(`${folder}/site`, options);
    const site = new FaultSite(live, options);
    try {
      await site.open(options);
      return await work(site);
    } finally {
      await site.close();
    }
  });
}

/** Where a scenario wants to be told of commands. */
export const CALLBACK_PATH = "/told/{device_id}/{message_id}";

/** True if a request tells of a command. */
export function isCallback({ path }: Pick<Reading, "path">): boolean {
  return path.startsWith("/told/");
}

/** The parts of a fault scenario, and the usual ways to use them. */
export class FaultSite {
  readonly live: LiveSite;
  /** Seen by the devices or the scenario, besides what the checker sees. */
  readonly violations: string[] = [];
  /** What the backend does before it answers, or instead. */
  beforeAnswer: (reading: Reading) => Promise<Response | void> | Response | void = () => {};
  readonly #environment: Readonly<Record<string, string>>;
  readonly #fleetOptions: FleetOptions;
  #settled = false;
  #brokenMs = 0;
  /** The first reading since the fault; monotonic. */
  #againMs: number | undefined;
  #deaf: ReturnType<typeof setTimeout> | undefined;
  #fleet: Fleet | undefined;
  #gateway: GatewayLife | undefined;

  constructor(live: LiveSite, options: FaultSiteOptions) {
    this.live = live;
    this.#fleetOptions = options.fleet;
    const settings = { BACKEND_RETRY_FIRST: "100ms", BACKEND_RETRY_LONGEST: "1s" };
    this.#environment = Object.fromEntries(
      Object.entries({ ...settings, ...options.settings })
        .map(([name, value]) => [`SECURE_IOT_GATEWAY_${name}`, value]),
    );
    live.backend.answer = async (reading) => {
      if (this.#deaf === undefined) this.#againMs ??= performance.now();
      return await this.beforeAnswer(reading) ?? new Response(reading.messageId);
    };
  }

  /** Starts the broker; the gateway and the fleet are the scenario's to start. */
  async open({ moreBrokerLines = [] }: FaultSiteOptions): Promise<void> {
    const path = this.live.layout.brokerConfiguration;
    const lines = await Deno.readTextFile(path);
    await Deno.writeTextFile(path, [...moreBrokerLines, lines].join("\n"));
    this.live.withStore(installWitness);
    await this.live.startBroker();
  }

  get fleet(): Fleet {
    return this.#fleet!;
  }

  get gateway(): GatewayLife {
    return this.#gateway!;
  }

  /** Sets the fleet going; at the latest now the gateway should have a session at the broker. */
  async startFleet(): Promise<void> {
    this.#fleet = await Fleet.start(this.live, this.#fleetOptions);
  }

  /** Starts a gateway, which need not be ready when this returns. */
  beginGateway(options: { failpoint?: Failpoint } = {}): GatewayLife {
    const { directory } = this.live.layout;
    return this.#gateway = GatewayLife.begin(directory, this.#environment, options);
  }

  /** Starts a gateway and waits until it takes messages. */
  async startGateway(): Promise<void> {
    await this.beginGateway().ready();
  }

  /** Keeps everybody from writing to the store while `work` goes on, as another process would. */
  async whileLocked(work: () => Promise<void>): Promise<void> {
    const other = new DatabaseSync(this.live.config.store.database, { timeout: LOCK_TIMEOUT_MS });
    try {
      other.exec("BEGIN IMMEDIATE");
      await work();
      other.exec("ROLLBACK");
    } finally {
      other.close();
    }
  }

  /** Waits for the gateway's connection to the broker with this number, in its present life. */
  async connected(number: number): Promise<void> {
    const count = () => this.gateway.records("broker_connected").length;
    await poll(`connection ${number}`, () => count() >= number, { timeoutMs: 30_000 });
  }

  /** Starts everything, and waits until readings flow. */
  async start(): Promise<void> {
    await this.startGateway();
    await this.startFleet();
    const { devices } = this.fleet;
    await poll("readings", () => this.live.backend.received.length >= devices.length, {
      timeoutMs: WAIT_MAX_MS,
    });
  }

  /** Kills the broker as a power cut would; returns what it had acknowledged and nobody answered. */
  async killBroker(): Promise<SentMessage[]> {
    this.live.broker!.kill("SIGKILL");
    await this.live.broker!.exited;
    const acknowledged = this.fleet.sent.filter((one) => one.acknowledged && !one.answered);
    this.fleet.doubt();
    return acknowledged;
  }

  /** Kills the gateway as a power cut would. */
  async killGateway(): Promise<void> {
    if (!this.gateway.running) this.violations.push(`The gateway died by itself: ${this.#end()}`);
    const killedMs = performance.now();
    await this.gateway.end();
    this.gatewayDied(killedMs);
  }

  /** The gateway has died, now or at `deadLetteredAtMs` (monotonic): readings flow no more. */
  gatewayDied(deadLetteredAtMs = performance.now()): void {
    this.interrupted(deadLetteredAtMs);
    // What it had sent already may still come; its next life needs longer than that to start.
    clearTimeout(this.#deaf);
    this.#deaf = setTimeout(() => this.#deaf = undefined, LAST_WORDS_MS);
  }

  /** From now on, or from `sinceMs` (monotonic), it counts until readings flow again. */
  interrupted(sinceMs = performance.now()): void {
    this.#brokenMs = sinceMs;
    this.#againMs = undefined;
  }

  /** True once readings flow again. */
  get forwards(): boolean {
    return this.#againMs !== undefined;
  }

  /** Waits for the first reading since the fault; returns how long it took to come. */
  async forwardingAgain(): Promise<number> {
    const life = this.gateway;
    const againMs = await poll("readings to flow again", () => this.#againMs ?? !life.running, {
      timeoutMs: WAIT_MAX_MS,
    });
    if (againMs === true) throw new Error(`The gateway died by itself: ${this.#end()}`);
    return againMs - this.#brokenMs;
  }

  /** Lets the fleet be quiet, and waits until everything has come to its end. */
  async settle(ending: Ending = {}): Promise<void> {
    this.#settled = true;
    await this.fleet.quiet();
    try {
      if (!ending.mayBeMissing) await this.#allReceived();
      await poll("the outbox to be empty", () => this.pending() === 0, {
        timeoutMs: SETTLE_TIMEOUT_MS,
      });
      if (ending.answersMayBeLost || ending.mayBeMissing) await this.#answersQuiet();
      else await this.#allAnswered();
    } catch (error) {
      this.violations.push((error as Error).message);
    }
  }

  /** Lets everything come to its end, where it has not; stops the gateway, and judges. */
  async judge(ending: Ending = {}): Promise<Figures> {
    if (!this.#settled) await this.settle(ending);
    const code = await this.gateway.stop();
    if (code !== 0) {
      this.violations.push(`The gateway ended with exit code ${code}: ${this.#end()}`);
    }
    const { wrongAnswers } = this.fleet;
    if (wrongAnswers > 0) this.violations.push(`${wrongAnswers} answers were not their message's`);
    const readings = this.live.backend.received.filter((one) => !isCallback(one));
    const received = readings.flatMap(carriedBy);
    const { replays } = this.fleet;
    const sent = [...this.fleet.sent, ...ending.others ?? []];
    const figures = check({ ...ending, sent, replays, received, stored: this.stored() });
    return { ...figures, violations: [...this.violations, ...figures.violations] };
  }

  /** The gateway's last words. */
  #end(): string {
    return this.gateway.log.slice(-LAST_WORDS_MAX_CHARS);
  }

  async close(): Promise<void> {
    clearTimeout(this.#deaf);
    this.live.broker?.kill("SIGCONT");
    await this.#fleet?.close();
    await this.#gateway?.end();
    await this.live.close();
  }

  /** What the store holds. */
  stored(): StoreContents {
    return this.live.withStore(contentsOf);
  }

  /** Entries in the outbox, on the disk. */
  pending(): number {
    return this.live.withStore((store) =>
      store.prepare("SELECT count(*) AS n FROM outbox").get()!["n"] as number
    );
  }

  async #allReceived(): Promise<void> {
    const arrived = new Set<string>();
    let seen = 0;
    await this.#eachOne("every message at the backend", ({ messageId }) => {
      const { received } = this.live.backend;
      for (; seen < received.length; seen++) {
        for (const one of carriedBy(received[seen]!)) arrived.add(one.messageId);
      }
      return arrived.has(messageId);
    });
  }

  #allAnswered(): Promise<void> {
    return this.#eachOne("every answer at its device", ({ answered }) => answered);
  }

  /** Waits until something is true of every message that must not be refused, one by one. */
  async #eachOne(what: string, isTrue: (message: SentMessage) => boolean): Promise<void> {
    const due = this.fleet.sent.filter(({ refusable }) => !refusable);
    let done = 0;
    await poll(what, () => {
      while (done < due.length && isTrue(due[done]!)) done++;
      return done === due.length;
    }, { timeoutMs: SETTLE_TIMEOUT_MS });
  }

  async #answersQuiet(): Promise<void> {
    let before = this.fleet.unanswered;
    let sinceMs = performance.now();
    await poll("the last answer", () => {
      const { unanswered } = this.fleet;
      if (unanswered < before) sinceMs = performance.now();
      before = unanswered;
      return unanswered === 0 || performance.now() - sinceMs > ANSWERS_QUIET_MS;
    }, { timeoutMs: SETTLE_TIMEOUT_MS });
  }
}
