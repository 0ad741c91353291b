/**
 * The gateway: bytes from the broker become a verdict; an accepted one becomes an outbox entry in
 * the same transaction that remembers its id; only then is the broker acknowledged; the forwarder
 * drains the outbox at its own pace. Beside it, the API turns the backend's commands into signed
 * messages. This is the only place that wires.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Config } from "./config.ts";
import type { Answer, Outcome } from "./core/delivery.ts";
import { responseTopic } from "./core/topic.ts";
import { type Api, createApi } from "./edge/api.ts";
import { ApiKeyGuard } from "./edge/api_key.ts";
import { Backend } from "./edge/backend.ts";
import { type Clock, SYSTEM_CLOCK } from "./edge/clock.ts";
import { dispatchCommand } from "./edge/dispatch.ts";
import { Forwarder, type ForwarderEvents } from "./edge/forwarder.ts";
import { Intake, type IntakeEvents } from "./edge/intake.ts";
import { KeyRing } from "./edge/key_ring.ts";
import { type Log } from "./edge/log.ts";
import { Metrics } from "./edge/metrics.ts";
import { BrokerLink } from "./edge/mqtt.ts";
import { Outbox, type OutboxEntry } from "./edge/outbox.ts";
import { Registry } from "./edge/registry.ts";
import { RejectionLog } from "./edge/rejection_log.ts";
import { ReplayGuard } from "./edge/replay_guard.ts";
import { Store } from "./edge/store.ts";

/** How long a clean stop waits for requests that are under way, milliseconds. */
const STOP_GRACE_MS = 10_000;

/** How long the gateway waits for another process's write before it tries a batch again. */
const STORE_BUSY_MS = 200;

/** The gateway cannot start; the message is for the operator. */
export class StartError extends Error {
  override readonly name = "StartError";
}

/** What a test may put in place of the real thing. */
export interface GatewayOptions {
  readonly log: Log;
  readonly clock?: Clock;
  /** In [0, 1); spreads retries. */
  readonly random?: () => number;
}

/** One gateway on one site. */
export class Gateway {
  readonly #config: Config;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #keyRing: KeyRing;
  readonly #replayGuard: ReplayGuard;
  readonly #rejections: RejectionLog;
  readonly #metrics: Metrics;
  readonly #broker: BrokerLink;
  readonly #backend: Backend;
  readonly #intake: Intake;
  readonly #forwarder: Forwarder;
  readonly #ready = Promise.withResolvers<void>();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  #stopping = false;

  /** Opens the store and reads the site's files; throws a `StartError` or a `StoreError`. */
  constructor(config: Config, options: GatewayOptions) {
    this.#config = config;
    this.#log = options.log;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    const { database, synchronous } = config.store;
    const backendCa = config.backend.ca === undefined ? undefined : readText(config.backend.ca);
    this.#broker = this.#brokerLink();
    this.#store = new Store(database, { synchronous, busyTimeoutMs: STORE_BUSY_MS });
    this.#backend = new Backend({ ...config.backend, ca: backendCa });
    this.#outbox = new Outbox(this.#store);
    this.#keyRing = new KeyRing(this.#store, new Registry(this.#store));
    this.#replayGuard = new ReplayGuard(this.#store);
    this.#rejections = new RejectionLog(this.#log);
    this.#metrics = this.#countEverything();
    this.#intake = this.#takeIn();
    this.#forwarder = this.#forwardFrom(options.random ?? Math.random);
  }

  /** Drains what an earlier run left, opens the API and connects; resolves once messages flow. */
  async start(): Promise<void> {
    this.#warnOfClock();
    for (const entry of this.#outbox.backlog()) this.#forwarder.add(entry);
    try {
      this.#server = this.#serveApi();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#forwarder.start();
    this.#broker.open();
    await this.#ready.promise;
    if (this.#stopping) return;
    this.#log("info", "gateway_started", {
      message: `Taking messages from ${this.#keyRing.size} devices`,
      devices: this.#keyRing.size,
      pending: this.#intake.pending,
    });
  }

  /** Takes nothing more, lets what is under way end, and leaves the rest in the outbox. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#ready.resolve();
    this.#intake.stopTaking();
    const drained = this.#forwarder.stop(STOP_GRACE_MS);
    await this.#server?.shutdown();
    await drained;
    await this.#intake.close();
    await this.#broker.close();
    this.#backend.close();
    this.#rejections.flush();
    this.#log("info", "gateway_stopped", {
      message: `Stopped; ${this.#intake.pending} entries wait in the outbox`,
      pending: this.#intake.pending,
    });
    this.#store.close();
  }

  /** The port on which the API listens. */
  get apiPort(): number {
    return this.#server!.addr.port;
  }

  #brokerLink(): BrokerLink {
    const { broker } = this.#config;
    const files = readKeyPair(broker.certificate, broker.key);
    const address = { ...broker, ...files, ca: readText(broker.ca) };
    return new BrokerLink(address, {
      arrived: (arrival) => this.#intake.take(arrival),
      connected: () => {
        this.#metrics.brokerConnects.inc();
        this.#ready.resolve();
      },
      disconnected: () => {},
    }, { log: this.#log });
  }

  #takeIn(): Intake {
    const parts = {
      clock: this.#clock,
      store: this.#store,
      keyRing: this.#keyRing,
      replayGuard: this.#replayGuard,
      outbox: this.#outbox,
    };
    const { checks, store } = this.#config;
    return new Intake(parts, { ...checks, maxPending: store.maxPending }, this.#onIntake());
  }

  #onIntake(): IntakeEvents {
    const log = this.#log;
    return {
      accepted: (entry) => {
        this.#metrics.accepted.inc();
        if (this.#config.log.accepted) {
          const message = `Accepted message from ${entry.deviceId}`;
          log("info", "message_accepted", { message, ...namesOf(entry) });
        }
        this.#forwarder.add(entry);
      },
      duplicate: () => this.#metrics.duplicates.inc(),
      rejected: (rejection, identity) => {
        this.#metrics.rejected.inc({ code: rejection.code });
        this.#rejections.add(rejection, identity);
      },
      storeFailed: (error) => {
        const message = `Cannot write the store, intake waits: ${error.message}`;
        log("error", "store_failed", { message });
      },
      storeRecovered: () => log("info", "store_recovered", { message: "The store works again" }),
      paused: () => {
        const message =
          `The outbox is full, intake waits: ${this.#config.store.maxPending} entries`;
        log("error", "intake_paused", { message });
      },
      resumed: () => log("info", "intake_resumed", { message: "Taking messages again" }),
    };
  }

  #forwardFrom(random: () => number): Forwarder {
    const parts = {
      clock: this.#clock,
      random,
      post: (entry: OutboxEntry, stop: AbortSignal) => this.#backend.post(entry, stop),
      read: (sequence: number) => this.#outbox.read(sequence),
      respond: this.#respond.bind(this),
      settle: this.#intake.settle.bind(this.#intake),
    };
    return new Forwarder(parts, this.#onForwarder(), this.#config.backend);
  }

  #onForwarder(): ForwarderEvents {
    const log = this.#log;
    return {
      sending: (entry, tries) => {
        const waitedMs = Math.max(0, this.#clock.wallMs() - entry.acceptedMs);
        if (tries === 1) this.#metrics.intakeToBackend.observe(waitedMs / 1000);
      },
      delivered: () => this.#metrics.delivered.inc(),
      retried: (entry, outcome, delayMs) => {
        this.#metrics.retried.inc();
        const message = `Trying again in ${Math.round(delayMs)} ms: ${wordsOf(outcome)}`;
        log("debug", "delivery_retried", { message, ...namesOf(entry) });
      },
      buried: (entry, reason) => {
        this.#metrics.buried.inc();
        const message = `Message from ${entry.deviceId} became a dead letter: ${reason}`;
        log("error", "dead_letter", { message, ...namesOf(entry), sequence: entry.sequence });
      },
      gone: (reason) => {
        log("error", "backend_gone", { message: `The backend does not answer: ${reason}` });
      },
      back: () => log("info", "backend_back", { message: "The backend answers again" }),
    };
  }

  /** Brings the backend's answer to the device; tries until the broker has it. */
  async #respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean> {
    const topic = responseTopic(entry.deviceId);
    const body = answer.body ?? new Uint8Array();
    const properties = {
      correlationData: new TextEncoder().encode(entry.messageId),
      userProperties: { message_id: entry.messageId, status: String(answer.status) },
    };
    let published = await this.#broker.publish(topic, body, properties);
    while (published.kind === "unsent") {
      if (!await this.#broker.nextConnect(stop)) return false;
      published = await this.#broker.publish(topic, body, properties);
    }
    if (published.kind === "refused") {
      const message = `The broker refused an answer to ${entry.deviceId}: ${published.reason}`;
      this.#log("error", "answer_refused", { message, ...namesOf(entry) });
    }
    return true;
  }

  #serveApi(): Deno.HttpServer<Deno.NetAddr> {
    const { host, port, certificate, key, keyFile } = this.#config.api;
    const pair = readKeyPair(certificate, key);
    const api = this.#api(readText(keyFile).trim());
    try {
      return Deno.serve({
        hostname: host,
        port,
        cert: pair.certificate,
        key: pair.key,
        onListen: () => {},
        handler: (request, { remoteAddr }) => api(request, remoteAddr.hostname),
      });
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
  }

  #api(apiKey: string): Api {
    return createApi({
      guard: new ApiKeyGuard(apiKey, this.#clock),
      notReady: () => this.#notReady(),
      metrics: async () => ({
        text: await this.#metrics.text(),
        contentType: this.#metrics.contentType,
      }),
      dispatch: async (deviceId, payload) => {
        const dispatched = await dispatchCommand(deviceId, payload, {
          clock: this.#clock,
          keyRing: this.#keyRing,
          messageId: () => crypto.randomUUID(),
          toleranceSeconds: this.#config.checks.toleranceSeconds,
          publish: (...publish) => this.#broker.publish(...publish),
        });
        if (dispatched.kind === "sent") this.#metrics.commands.inc();
        return dispatched;
      },
      failed: (error) => this.#log("error", "api_failed", { message: error.message }),
    });
  }

  /** Every reason why messages are not taken now. */
  #notReady(): string[] {
    const reasons: string[] = [];
    if (!this.#broker.connected) reasons.push("the broker is not connected");
    if (this.#intake.paused) reasons.push("the outbox is full");
    const fault = this.#intake.storeFault;
    if (fault !== undefined) reasons.push(`the store cannot be written: ${fault}`);
    return reasons;
  }

  #countEverything(): Metrics {
    return new Metrics({
      pending: () => this.#intake.pending,
      dead: () => this.#outbox.deadCount(),
      replayIds: () => this.#replayGuard.count(),
      devices: () => this.#keyRing.size,
      brokerConnected: () => this.#broker.connected,
      intakePaused: () => this.#intake.paused,
    });
  }

  #warnOfClock(): void {
    const newestSeconds = this.#replayGuard.newestSeconds();
    const behindSeconds = newestSeconds - Math.floor(this.#clock.wallMs() / 1000);
    if (behindSeconds <= this.#config.checks.toleranceSeconds) return;
    const message =
      `The clock is ${behindSeconds} s behind the newest message remembered: check it`;
    this.#log("warning", "clock_behind", { message });
  }
}

/** A certificate and its key, checked against each other: a wrong pair fails later, misleadingly. */
function readKeyPair(certificatePath: string, keyPath: string) {
  const certificate = readText(certificatePath);
  const key = readText(keyPath);
  let fits: boolean;
  try {
    fits = new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch (error) {
    const reason = (error as Error).message;
    throw new StartError(`Cannot read "${certificatePath}" with "${keyPath}": ${reason}`);
  }
  if (!fits) throw new StartError(`"${keyPath}" is not the key of "${certificatePath}"`);
  return { certificate, key };
}

function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    throw new StartError(`Cannot read "${path}": ${(error as Error).message}`);
  }
}

function namesOf(entry: OutboxEntry) {
  return { device_id: entry.deviceId, message_id: entry.messageId };
}

function wordsOf(outcome: Outcome): string {
  return outcome.kind === "answer" ? `status ${outcome.status}` : outcome.reason;
}
