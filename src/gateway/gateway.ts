/**
 * The gateway, put together: bytes from the broker become a verdict; an accepted one becomes an outbox
 * entry in the same transaction that remembers its id; only then is the broker acknowledged; the
 * forwarder drains the outbox at its own pace. Beside it, the API turns the backend's commands into
 * signed messages. Only the parts are made here, and their life is kept; what they do is in them.
 */

import type { Config } from "../config/config.ts";
import { type Credentials, readCredentials } from "../config/credentials.ts";
import type { Emit, GatewayEvent } from "../core/event.ts";
import type { OnFailpoint } from "../core/failpoint.ts";
import { Outage } from "../core/outage.ts";
import { secondsOf } from "../core/time.ts";
import type { Log } from "../log/log.ts";
import { openGatewayStore } from "../store/gateway_store.ts";
import { type Clock, steadyClock, SYSTEM_CLOCK } from "../time/clock.ts";
import { BearerAuth } from "./api/bearer_auth.ts";
import { importFirstKey } from "./api/first_key.ts";
import type { RequestGate } from "./api/request_gate.ts";
import { BODY_TIMEOUT_MS, createRoutes } from "./api/routes.ts";
import { HttpBackend } from "./backend/http_backend.ts";
import { DropCounter } from "./broker/drop_counter.ts";
import { MqttBroker } from "./broker/mqtt_broker.ts";
import { CatchUp } from "./pipeline/catch_up.ts";
import { CommandSender } from "./pipeline/command_sender.ts";
import { Committer } from "./pipeline/committer.ts";
import { Forwarder } from "./pipeline/forwarder.ts";
import { Intake } from "./pipeline/intake.ts";
import { Responder } from "./pipeline/responder.ts";
import { Verifier } from "./pipeline/verifier.ts";
import { EventLog } from "./telemetry/event_log.ts";
import { countEvent } from "./telemetry/event_metrics.ts";
import { ExpiryWatch, watchedFiles } from "./telemetry/expiry_watch.ts";
import { unreadiness } from "./telemetry/health.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { SecretUses } from "./telemetry/secret_uses.ts";

/** How long a clean stop waits for requests that are under way, milliseconds. */
export const STOP_GRACE_MS = 10_000;

/** How long requests wait for a gateway that starts, before they are told what is not ready. */
const API_HOLD_MS = 2_000;

/** What it works with, and what a test may put in place of the real thing. */
export interface GatewayOptions {
  readonly log: Log;
  /** Read from the configuration's files unless they are given. */
  readonly credentials?: Credentials;
  /** Where the API's requests come from; without it, there is no API. */
  readonly gate?: RequestGate;
  readonly clock?: Clock;
  /** In [0, 1); spreads retries. */
  readonly random?: () => number;
  /** How long the API waits for a request's body. */
  readonly bodyTimeoutMs?: number;
  readonly failpoint?: OnFailpoint;
}

type Parts = Awaited<ReturnType<typeof assemble>>;

/** One gateway on one site. */
export class Gateway {
  /** Resolves when the store was replaced, or must be opened again: start a new gateway on it. */
  readonly replaced: Promise<void>;
  readonly #parts: Parts;
  readonly #ready = Promise.withResolvers<void>();
  #stopping = false;

  private constructor(parts: Parts) {
    this.#parts = parts;
    this.replaced = parts.committer.replaced;
  }

  /** Opens the store and reads the site's files; throws a `StartError` or a `StoreError`. */
  static async open(config: Config, options: GatewayOptions): Promise<Gateway> {
    return new Gateway(await assemble(config, options));
  }

  /** Drains what an earlier run left, and connects; resolves once messages flow. */
  async start(): Promise<void> {
    const { broker, committer, forwarder, intake, keys, gate, api, emit } = this.#parts;
    let pending = 0;
    for await (const entry of this.#parts.messages.backlog()) {
      pending++;
      forwarder.addBacklog(entry);
    }
    committer.startWith(pending);
    forwarder.start();
    broker.open({
      take: (message) => intake.take(message),
      sessionResumed: () => intake.sessionResumed(),
      connected: () => this.#connected(),
      disconnected: () => this.#parts.catchUp.begin("broker"),
      dropCounted: (total) => this.#parts.dropCounter.count(total),
    });
    const hold = setTimeout(() => gate?.open(api), API_HOLD_MS);
    await this.#ready.promise;
    clearTimeout(hold);
    if (this.#stopping) return;
    gate?.open(api);
    emit({ kind: "gateway_started", devices: keys.size, pending: committer.pending });
    await this.#tellAuditHead();
  }

  /** Takes nothing more, lets what is under way end, and leaves the rest in the outbox. */
  async stop(graceMs = STOP_GRACE_MS): Promise<void> {
    const { intake, forwarder, gate, committer, broker, backend, eventLog, store } = this.#parts;
    this.#stopping = true;
    this.#ready.resolve();
    this.#parts.expiryWatch.close();
    intake.stopTaking();
    await Promise.all([forwarder.stop(graceMs), gate?.hold(graceMs)]);
    await intake.close();
    await this.#parts.secretUses.close();
    await broker.close();
    backend.close();
    eventLog.flush();
    this.#parts.emit({ kind: "gateway_stopped", pending: committer.pending });
    await this.#tellAuditHead();
    await store.close();
  }

  #connected(): void {
    this.#parts.catchUp.end("broker");
    this.#ready.resolve();
  }

  async #tellAuditHead(): Promise<void> {
    try {
      this.#parts.emit({ kind: "audit_head", ...await this.#parts.store.audit.head() });
    } catch {
      // The store is lost, which the log says already.
    }
  }
}

/** Makes every part, in the order in which they need each other. */
async function assemble(config: Config, options: GatewayOptions) {
  const { checks } = config;
  const clock = options.clock ?? SYSTEM_CLOCK;
  const steadyMs = steadyClock(clock);
  const failpoint = options.failpoint ?? (() => {});
  const credentials = options.credentials ?? readCredentials(config);
  const eventLog = new EventLog(options.log, config.log);
  const listeners: ((event: GatewayEvent) => void)[] = [(event) => eventLog.write(event)];
  const emit: Emit = (event) => listeners.forEach((listener) => listener(event));

  const store = await openGatewayStore(config);
  const { messages, keys, apiKeys, registry: devices } = store;
  const { attendedSeconds, newestSeconds } = await messages.marks();
  const broker = new MqttBroker({ ...config.broker, ...credentials.broker }, emit);
  const outage = new Outage(crypto.randomUUID(), attendedSeconds);
  const catchUp = new CatchUp({ outage, broker, emit });
  const committer = new Committer({
    ...{ store: messages, catchUp, policy: checks, clock, steadyMs, emit, failpoint },
  });
  const address = { ...config.backend, ...checks, ...credentials.backend };
  const backend = new HttpBackend(address, clock);
  const responder = new Responder(broker, emit);
  const forwarder = new Forwarder({
    ...{ clock, steadyMs, random: options.random ?? Math.random, store: messages, backend },
    ...{ responder, committer, emit, failpoint },
  }, config.backend);
  const verifier = new Verifier(keys);
  const intake = new Intake(
    { clock, verifier, committer, forwarder, catchUp, emit, failpoint },
    { ...config.store, ...checks },
  );
  const metrics = new Metrics({
    pending: () => committer.pending,
    devices: () => keys.size,
    brokerConnected: () => broker.isConnected,
    intakePaused: () => intake.isPaused,
    catchingUp: () => !catchUp.isDone,
    forwarder,
    steadyMs,
    counts: () => messages.counts(),
  });
  listeners.push((event) => countEvent(event, metrics));
  const firstKey = { digest: credentials.api.keyDigest, file: config.api.keyFile };
  await importFirstKey(apiKeys, { ...firstKey, nowMs: clock.wallMs(), emit });
  const commands = new CommandSender({ clock, keys, broker, emit, ...checks });
  const api = createRoutes({
    auth: new BearerAuth(() => apiKeys.current(), clock),
    unreadiness: () => unreadiness({ broker, intake, committer }),
    degraded: () => forwarder.faults,
    metrics,
    commands,
    bodyTimeoutMs: options.bodyTimeoutMs ?? BODY_TIMEOUT_MS,
    emit,
  });
  tellWhatIsOdd();
  return {
    ...{ store, messages, keys, broker, catchUp, committer, backend, forwarder, intake, api },
    ...{ emit, eventLog, gate: options.gate },
    dropCounter: new DropCounter(messages, emit),
    expiryWatch: new ExpiryWatch({ clock, emit, files: watchedFiles(config), devices }),
    secretUses: new SecretUses(keys, emit),
  };

  function tellWhatIsOdd(): void {
    const behindSeconds = newestSeconds - secondsOf(clock.wallMs());
    if (behindSeconds > checks.toleranceSeconds) emit({ kind: "clock_behind", behindSeconds });
    for (const damaged of keys.newlyDamaged()) emit({ kind: "device_damaged", ...damaged });
  }
}
