/**
 * The gateway: bytes from the broker become a verdict; an accepted one becomes an outbox entry in
 * the same transaction that remembers its id; only then is the broker acknowledged; the forwarder
 * drains the outbox at its own pace. Beside it, the API turns the backend's commands into signed
 * messages. This is the only place that wires.
 */

import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Config } from "./config.ts";
import { Attendance } from "./core/attendance.ts";
import type { Answer } from "./core/delivery.ts";
import type { OnPoint } from "./core/point.ts";
import { MARKER_TOPIC, responseTopic } from "./core/topic.ts";
import { type Api, createApi } from "./edge/api.ts";
import { ApiKeyGuard } from "./edge/api_key.ts";
import { Backend } from "./edge/backend.ts";
import { type Clock, steadyClock, SYSTEM_CLOCK } from "./edge/clock.ts";
import { DeadLetters } from "./edge/dead_letters.ts";
import { dispatchCommand } from "./edge/dispatch.ts";
import { ExpiryWatch } from "./edge/expiry_watch.ts";
import { Forwarder } from "./edge/forwarder.ts";
import { Intake } from "./edge/intake.ts";
import { KeyRing } from "./edge/key_ring.ts";
import { Ledger } from "./edge/ledger.ts";
import type { Log } from "./edge/log.ts";
import { Metrics } from "./edge/metrics.ts";
import { BrokerLink } from "./edge/mqtt.ts";
import { Outbox, type OutboxEntry } from "./edge/outbox.ts";
import { Registry } from "./edge/registry.ts";
import { ReplayGuard } from "./edge/replay_guard.ts";
import { Store } from "./edge/store.ts";
import { Report } from "./report.ts";

/** How long a clean stop waits for requests that are under way, milliseconds. */
const STOP_GRACE_MS = 10_000;

/** How long the gateway waits for another process's write before it tries a batch again. */
const STORE_BUSY_MS = 200;

/** How often it is written down which secrets the devices use. */
const NOTE_USES_MS = 1_000;

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
  readonly at?: OnPoint;
}

/** One gateway on one site. */
export class Gateway {
  /** Resolves when the store was lost and a sound one stands in its place: start anew on it. */
  readonly replaced: Promise<void>;
  readonly #config: Config;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #steadyMs: () => number;
  readonly #at: OnPoint;
  readonly #store: Store;
  readonly #outbox: Outbox;
  readonly #deadLetters: DeadLetters;
  readonly #registry: Registry;
  readonly #keyRing: KeyRing;
  readonly #replayGuard: ReplayGuard;
  readonly #attendance: Attendance;
  readonly #ledger: Ledger;
  readonly #metrics: Metrics;
  readonly #report: Report;
  readonly #broker: BrokerLink;
  readonly #backend: Backend;
  readonly #intake: Intake;
  readonly #forwarder: Forwarder;
  readonly #ready = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<void>();
  readonly #apiAbort = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr> | undefined;
  #expiryWatch: ExpiryWatch | undefined;
  #noteUsesTimer: ReturnType<typeof setInterval> | undefined;
  #stopping = false;

  /** Opens the store and reads the site's files; throws a `StartError` or a `StoreError`. */
  constructor(config: Config, options: GatewayOptions) {
    this.#config = config;
    this.#log = options.log;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#steadyMs = steadyClock(this.#clock);
    this.#at = options.at ?? (() => {});
    this.replaced = this.#lost.promise;
    const backendCa = config.backend.ca === undefined ? undefined : readText(config.backend.ca);
    this.#broker = this.#linkBroker();
    const { database, synchronous } = config.store;
    this.#store = new Store(database, { synchronous, busyTimeoutMs: STORE_BUSY_MS });
    this.#outbox = new Outbox(this.#store);
    this.#deadLetters = new DeadLetters(this.#store);
    this.#registry = new Registry(this.#store);
    this.#keyRing = new KeyRing(this.#store, this.#registry);
    this.#replayGuard = new ReplayGuard(this.#store);
    const attendedSeconds = this.#store.mark("attended_seconds") || undefined;
    this.#attendance = new Attendance(crypto.randomUUID(), attendedSeconds);
    this.#ledger = this.#openLedger();
    this.#metrics = this.#countEverything();
    this.#report = new Report(config, { ...options, clock: this.#clock, metrics: this.#metrics });
    this.#backend = new Backend({ ...config.backend, ca: backendCa });
    this.#intake = this.#takeIn();
    this.#forwarder = this.#forwardFrom(options.random ?? Math.random);
  }

  /** Drains what an earlier run left, opens the API and connects; resolves once messages flow. */
  async start(): Promise<void> {
    this.#report.clock(this.#replayGuard.newestSeconds());
    for (const entry of this.#ledger.backlog()) this.#forwarder.add(entry);
    try {
      this.#server = this.#serveApi();
    } catch (error) {
      await this.stop();
      throw error;
    }
    this.#expiryWatch = this.#watchExpiry();
    this.#noteUsesTimer = setInterval(() => this.#noteUses(), NOTE_USES_MS);
    this.#forwarder.start();
    this.#broker.open();
    await this.#ready.promise;
    if (this.#stopping) return;
    this.#log("info", "gateway_started", {
      message: `Taking messages from ${this.#keyRing.size} devices`,
      devices: this.#keyRing.size,
      pending: this.#ledger.pending,
    });
  }

  /** Takes nothing more, lets what is under way end, and leaves the rest in the outbox. */
  async stop(): Promise<void> {
    this.#stopping = true;
    this.#ready.resolve();
    this.#expiryWatch?.close();
    clearInterval(this.#noteUsesTimer);
    this.#intake.stopTaking();
    const hurry = setTimeout(() => this.#apiAbort.abort(), STOP_GRACE_MS);
    await Promise.all([this.#forwarder.stop(STOP_GRACE_MS), this.#server?.shutdown()]);
    clearTimeout(hurry);
    await this.#intake.close();
    this.#noteUses({ all: true });
    await this.#broker.close();
    this.#backend.close();
    this.#report.flush();
    this.#log("info", "gateway_stopped", {
      message: `Stopped; ${this.#ledger.pending} entries wait in the outbox`,
      pending: this.#ledger.pending,
    });
    this.#store.close();
  }

  #linkBroker(): BrokerLink {
    const { broker } = this.#config;
    const files = readKeyPair(broker.certificate, broker.key);
    return new BrokerLink({ ...broker, ...files, ca: readText(broker.ca) }, {
      arrived: (arrival) => this.#intake.take(arrival),
      dropped: (count) => this.#noticeDrops(count),
      connected: () => {
        this.#metrics.brokerConnects.inc();
        this.#intake.brokerConnected(true);
        this.#ready.resolve();
      },
      disconnected: () => this.#intake.brokerConnected(false),
    }, { log: this.#log });
  }

  #openLedger(): Ledger {
    const { checks, deadLetters } = this.#config;
    return new Ledger({
      clock: this.#clock,
      steadyMs: this.#steadyMs,
      store: this.#store,
      replayGuard: this.#replayGuard,
      outbox: this.#outbox,
      deadLetters: this.#deadLetters,
      attendance: this.#attendance,
    }, { ...checks, deadLetters });
  }

  #takeIn(): Intake {
    const parts = {
      clock: this.#clock,
      keyRing: this.#keyRing,
      ledger: this.#ledger,
      attendance: this.#attendance,
      storePath: this.#config.store.database,
      sendMarker: (marker: string) => this.#sendMarker(marker),
      at: this.#at,
    };
    const report = this.#report;
    return new Intake(parts, {
      accepted: (entry) => {
        report.accepted(entry);
        this.#forwarder.add(entry);
      },
      adopted: (entries) => entries.forEach((entry) => this.#forwarder.add(entry)),
      duplicate: () => report.duplicate(),
      rejected: (rejection, identity) => report.rejected(rejection, identity),
      storeFailed: (error) => report.storeFailed(error),
      storeRecovered: () => report.storeRecovered(),
      storeReplaced: () => {
        report.storeReplaced();
        this.#lost.resolve();
      },
      trimmed: (count) => report.trimmed(count),
      paused: () => report.paused(),
      resumed: () => report.resumed(),
      caughtUp: (marked) => report.caughtUp(marked),
    }, this.#config.store);
  }

  #forwardFrom(random: () => number): Forwarder {
    const report = this.#report;
    return new Forwarder({
      clock: this.#clock,
      steadyMs: this.#steadyMs,
      random,
      post: (entry, stop) =>
        this.#backend.post(entry, stop, { lateSeconds: report.lateSeconds(entry) }),
      read: (sequence) => this.#outbox.read(sequence),
      respond: (entry, answer, stop) => this.#respond(entry, answer, stop),
      settle: (settlement) => this.#intake.settle(settlement),
      at: this.#at,
    }, {
      sending: (entry, tries) => report.sending(entry, tries, this.#steadyMs()),
      delivered: () => report.delivered(),
      retried: (entry, outcome, delayMs) => report.retried(entry, outcome, delayMs),
      buried: (entry, reason) => report.buried(entry, reason),
      gone: (reason) => report.gone(reason),
      back: () => report.back(),
    }, this.#config.backend);
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
    if (published.kind === "refused") this.#report.answerRefused(entry, published.reason);
    return true;
  }

  async #sendMarker(marker: string): Promise<boolean> {
    const bytes = new TextEncoder().encode(marker);
    const published = await this.#broker.publish(MARKER_TOPIC, bytes, {});
    return published.kind === "acknowledged" && published.subscribers;
  }

  /** The broker's counter is of its own life; a lower one than the last is a new broker's. */
  #noticeDrops(count: number): void {
    let before: number;
    try {
      before = this.#store.mark("broker_dropped");
      if (count === before) return;
      this.#store.transaction(() => this.#store.setMark("broker_dropped", count));
    } catch {
      return; // the mark stays: the next count tells of these drops too
    }
    const dropped = count > before ? count - before : count;
    if (dropped > 0) this.#report.brokerDropped(dropped);
  }

  #serveApi(): Deno.HttpServer<Deno.NetAddr> {
    const { host, port, certificate, key, keyFile } = this.#config.api;
    const pair = readKeyPair(certificate, key);
    const api = this.#api(readText(keyFile).trim());
    try {
      const server = Deno.serve({
        hostname: host,
        port,
        cert: pair.certificate,
        key: pair.key,
        signal: this.#apiAbort.signal,
        onListen: () => {},
        handler: (request, { remoteAddr }) => api(request, remoteAddr.hostname),
      });
      server.finished.catch((error) => this.#serveAgain(error));
      return server;
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
  }

  /** The API's listener has failed, as it does where the system grants no more sockets. */
  #serveAgain(error: Error): void {
    if (this.#stopping) return;
    this.#log("error", "api_failed", { message: `The API stopped listening: ${error.message}` });
    setTimeout(() => {
      if (this.#stopping) return;
      try {
        this.#server = this.#serveApi();
      } catch (error) {
        this.#serveAgain(error as Error);
      }
    }, 1_000);
  }

  #api(apiKey: string): Api {
    const metrics = this.#metrics;
    return createApi({
      guard: new ApiKeyGuard(apiKey, this.#clock),
      notReady: () => this.#notReady(),
      metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
      dispatch: async (deviceId, payload) => {
        const dispatched = await dispatchCommand(deviceId, payload, {
          clock: this.#clock,
          keyRing: this.#keyRing,
          messageId: () => crypto.randomUUID(),
          toleranceSeconds: this.#config.checks.toleranceSeconds,
          publish: (...publish) => this.#broker.publish(...publish),
        });
        if (dispatched.kind === "sent") metrics.commands.inc();
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

  /** Which secrets were used; a store that cannot be written now is tried again. */
  #noteUses(options: { all?: boolean } = {}): void {
    const nowSeconds = Math.floor(this.#clock.wallMs() / 1000);
    try {
      for (const { deviceId, generation } of this.#keyRing.noteUses({ nowSeconds, ...options })) {
        if (generation > 1) this.#report.newSecretUsed(deviceId, generation);
      }
    } catch {
      // The intake tells of it.
    }
  }

  #watchExpiry(): ExpiryWatch {
    const { broker, api, devices } = this.#config;
    return new ExpiryWatch({
      clock: this.#clock,
      log: this.#log,
      files: [
        broker.ca,
        broker.certificate,
        api.certificate,
        devices.authority,
        devices.revocationList,
      ],
      devices: () => this.#registry.certificateEnds(),
      fileEnds: (file, seconds) => this.#metrics.fileEnds.set({ file }, seconds),
      devicesEnding: (count) => this.#metrics.devicesEnding.set(count),
    });
  }

  #countEverything(): Metrics {
    return new Metrics({
      pending: () => this.#ledger.pending,
      dead: () => this.#deadLetters.count(),
      replayIds: () => this.#replayGuard.count(),
      devices: () => this.#keyRing.size,
      brokerConnected: () => this.#broker.connected,
      intakePaused: () => this.#intake.paused,
      catchingUp: () => !this.#attendance.caughtUp,
    });
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
