/**
 * The gateway: bytes from the broker become a verdict; an accepted one becomes an outbox entry in
 * the same transaction that remembers its id; only then is the broker acknowledged; the forwarder
 * drains the outbox at its own pace. Beside it, the API turns the backend's commands into signed
 * messages. This is the only place that wires.
 */

import type { Config } from "../config/config.ts";
import { Outage } from "../core/outage.ts";
import type { Answer } from "../core/delivery.ts";
import type { OnFailpoint } from "../core/failpoint.ts";
import { MARKER_TOPIC, responseTopic } from "../core/topic.ts";
import { type Credentials, readCredentials, StartError } from "../config/credentials.ts";
import { type ApiHandler, BODY_TIMEOUT_MS, createRoutes } from "./api/routes.ts";
import { BearerAuth } from "./api/bearer_auth.ts";
import { ApiKeys } from "../store/sqlite/api_keys.ts";
import { HttpBackend } from "./backend/http_backend.ts";
import { type Clock, steadyClock, SYSTEM_CLOCK } from "../time/clock.ts";
import { DeadLetters } from "../store/sqlite/dead_letters.ts";
import { sendCommand } from "./pipeline/command_sender.ts";
import { ExpiryWatch } from "./telemetry/expiry_watch.ts";
import { Forwarder } from "./pipeline/forwarder.ts";
import { Intake } from "./pipeline/intake.ts";
import { DeviceKeys } from "../store/key_ring.ts";
import { Ledger } from "./pipeline/ledger.ts";
import type { Log } from "../log/log.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { MqttBroker } from "./broker/mqtt_broker.ts";
import { Outbox, type OutboxEntry } from "../store/sqlite/outbox.ts";
import type { RequestGate } from "./api/request_gate.ts";
import { Registry } from "../store/sqlite/registry.ts";
import { RejectionAudit } from "../store/sqlite/rejection_audit.ts";
import { ReplayGuard } from "../store/sqlite/replay_guard.ts";
import { readSealingKeys } from "../store/sealing_keys.ts";
import { Database } from "../store/sqlite/database.ts";
import { Report } from "./telemetry/event_log.ts";

/** How long a clean stop waits for requests that are under way, milliseconds. */
export const STOP_GRACE_MS = 10_000;

/** How long the gateway waits for another process's write before it tries a batch again. */
const STORE_BUSY_MS = 200;

/** How long requests wait for a gateway that starts, before they are told what is not ready. */
const API_HOLD_MS = 2_000;

/** How often it is written down which secrets the devices use. */
const NOTE_USES_MS = 1_000;

/** What it works with, and what a test may put in place of the real thing. */
export interface GatewayOptions {
  readonly log: Log;
  /** Read from the configuration's files unless they are given. */
  readonly credentials?: Credentials;
  /** Where the API is answered; without it, it is not. */
  readonly gate?: RequestGate;
  readonly clock?: Clock;
  /** In [0, 1); spreads retries. */
  readonly random?: () => number;
  /** How long the API waits for a request's body. */
  readonly bodyTimeoutMs?: number;
  readonly at?: OnFailpoint;
}

/** One gateway on one site. */
export class Gateway {
  /** Resolves when the store was lost and a sound one stands in its place: start anew on it. */
  readonly replaced: Promise<void>;
  readonly #config: Config;
  readonly #credentials: Credentials;
  readonly #gate: RequestGate | undefined;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #steadyMs: () => number;
  readonly #bodyTimeoutMs: number;
  readonly #at: OnFailpoint;
  readonly #store: Database;
  readonly #outbox: Outbox;
  readonly #deadLetters: DeadLetters;
  readonly #registry: Registry;
  readonly #keyRing: DeviceKeys;
  readonly #apiKeys: ApiKeys;
  readonly #replayGuard: ReplayGuard;
  readonly #attendance: Outage;
  readonly #ledger: Ledger;
  readonly #metrics: Metrics;
  readonly #report: Report;
  readonly #broker: MqttBroker;
  readonly #backend: HttpBackend;
  readonly #intake: Intake;
  readonly #forwarder: Forwarder;
  readonly #ready = Promise.withResolvers<void>();
  readonly #lost = Promise.withResolvers<void>();
  #expiryWatch: ExpiryWatch | undefined;
  #noteUsesTimer: ReturnType<typeof setInterval> | undefined;
  #stopping = false;

  /** Opens the store and reads the site's files; throws a `StartError` or a `StoreError`. */
  constructor(config: Config, options: GatewayOptions) {
    this.#config = config;
    this.#credentials = options.credentials ?? readCredentials(config);
    this.#gate = options.gate;
    this.#log = options.log;
    this.#clock = options.clock ?? SYSTEM_CLOCK;
    this.#steadyMs = steadyClock(this.#clock);
    this.#bodyTimeoutMs = options.bodyTimeoutMs ?? BODY_TIMEOUT_MS;
    this.#at = options.at ?? (() => {});
    this.replaced = this.#lost.promise;
    const sealingKeys = readSealingKeys(config.store.sealingKey);
    this.#broker = this.#linkBroker();
    const { database, synchronous } = config.store;
    this.#store = new Database(database, {
      synchronous,
      author: "gateway",
      busyTimeoutMs: STORE_BUSY_MS,
      secureDelete: "FAST", // it writes no secrets, and payloads come and go
    });
    this.#outbox = new Outbox(this.#store);
    this.#deadLetters = new DeadLetters(this.#store);
    this.#registry = new Registry(this.#store, sealingKeys);
    this.#keyRing = new DeviceKeys(this.#store, this.#registry);
    this.#apiKeys = this.#openApiKeys(this.#credentials.api.keyDigest);
    this.#replayGuard = new ReplayGuard(this.#store);
    const attendedSeconds = this.#store.readMark("attended_seconds") || undefined;
    this.#attendance = new Outage(crypto.randomUUID(), attendedSeconds);
    this.#ledger = this.#openLedger();
    this.#metrics = this.#countEverything();
    this.#report = new Report(config, { ...options, clock: this.#clock, metrics: this.#metrics });
    this.#backend = new HttpBackend({ ...config.backend, ...this.#credentials.backend });
    this.#intake = this.#takeIn();
    this.#forwarder = this.#forwardFrom(options.random ?? Math.random);
  }

  /** Drains what an earlier run left, and connects; resolves once messages flow. */
  async start(): Promise<void> {
    this.#report.clock(this.#replayGuard.newestSeconds());
    this.#report.damagedSecrets(this.#keyRing.damaged());
    for (const entry of this.#ledger.backlog()) this.#forwarder.add(entry);
    this.#expiryWatch = this.#watchExpiry();
    this.#noteUsesTimer = setInterval(() => this.#noteUses(), NOTE_USES_MS);
    this.#forwarder.start();
    this.#broker.open();
    const api = this.#api();
    const hold = setTimeout(() => this.#gate?.open(api), API_HOLD_MS);
    await this.#ready.promise;
    clearTimeout(hold);
    if (this.#stopping) return;
    this.#gate?.open(api);
    this.#log("info", "gateway_started", {
      message: `Taking messages from ${this.#keyRing.size} devices`,
      devices: this.#keyRing.size,
      pending: this.#ledger.pending,
    });
    this.#logAuditHead();
  }

  /** Takes nothing more, lets what is under way end, and leaves the rest in the outbox. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    this.#stopping = true;
    this.#ready.resolve();
    this.#expiryWatch?.close();
    clearInterval(this.#noteUsesTimer);
    this.#intake.stopTaking();
    await Promise.all([this.#forwarder.stop(graceMs), this.#gate?.hold(graceMs)]);
    await this.#intake.close();
    this.#noteUses({ all: true });
    await this.#broker.close();
    this.#backend.close();
    this.#report.flush();
    this.#log("info", "gateway_stopped", {
      message: `Stopped; ${this.#ledger.pending} entries wait in the outbox`,
      pending: this.#ledger.pending,
    });
    this.#logAuditHead();
    this.#store.close();
  }

  #logAuditHead(): void {
    try {
      this.#report.auditHead(this.#store.audit.head());
    } catch {
      // The store is lost, which the log says already.
    }
  }

  #linkBroker(): MqttBroker {
    const { broker } = this.#config;
    return new MqttBroker({ ...broker, ...this.#credentials.broker }, {
      onMessage: (arrival) => this.#intake.take(arrival),
      onSessionPresent: () => this.#intake.brokerResumed(),
      onDropCount: (count) => this.#noticeDrops(count),
      onConnected: () => {
        this.#metrics.brokerConnects.inc();
        this.#intake.brokerConnected(true);
        this.#ready.resolve();
      },
      onDisconnected: () => this.#intake.brokerConnected(false),
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
      rejectionAudit: new RejectionAudit(this.#store, this.#config.audit),
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
      adopted: (entries) => {
        report.adopted(entries);
        for (const entry of entries) this.#forwarder.add(entry);
      },
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
      overrun: (count) => report.overrun(count),
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
      read: (sequences) => this.#outbox.read(sequences),
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
      before = this.#store.readMark("broker_dropped");
      if (count === before) return;
      this.#store.transaction(() => this.#store.writeMark("broker_dropped", count));
    } catch {
      return; // the mark stays: the next count tells of these drops too
    }
    const dropped = count > before ? count - before : count;
    if (dropped > 0) this.#report.brokerDropped(dropped);
  }

  /** A site from before its keys stood in the store has one in a file, which is taken over. */
  #openApiKeys(digest: Uint8Array | undefined): ApiKeys {
    const keys = new ApiKeys(this.#store);
    try {
      if (digest && keys.takeOverFirst(digest, this.#clock.wallMs())) {
        const message = `Took over the API key in "${this.#config.api.keyFile}" as a hash`;
        this.#log("info", "api_key_taken_over", { message });
      }
    } catch (error) {
      throw new StartError(`Cannot take over the API key: ${(error as Error).message}`);
    }
    if (digest && !keys.has(digest)) {
      const message = `The key in "${this.#config.api.keyFile}" opens nothing: see key list`;
      this.#log("warning", "api_key_unknown", { message });
    }
    if (keys.current().length === 0) {
      const message = "Nobody can use the API: there is no key, see key add";
      this.#log("warning", "api_key_missing", { message });
    }
    return keys;
  }

  #api(): ApiHandler {
    const metrics = this.#metrics;
    return createRoutes({
      guard: new BearerAuth(() => this.#apiKeys.current(), this.#clock),
      notReady: () => this.#notReady(),
      metrics: async () => ({ text: await metrics.text(), contentType: metrics.contentType }),
      dispatch: async (deviceId, payload) => {
        const dispatched = await sendCommand(deviceId, payload, {
          clock: this.#clock,
          keyRing: this.#keyRing,
          messageId: () => crypto.randomUUID(),
          toleranceSeconds: this.#config.checks.toleranceSeconds,
          publish: (...publish) => this.#broker.publish(...publish),
        });
        if (dispatched.kind === "sent") metrics.commands.inc();
        return dispatched;
      },
      bodyTimeoutMs: this.#bodyTimeoutMs,
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
  #noteUses({ all } = { all: false }): void {
    try {
      for (const { deviceId, generation } of this.#keyRing.recordUses({ all })) {
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
