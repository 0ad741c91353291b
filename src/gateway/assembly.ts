/**
 * A gateway's parts, made and put together: all the composition there is. What they do is in them.
 */

import type { Config } from "../config/config.ts";
import { X509Certificate } from "node:crypto";
import { type Credentials, readCredentials } from "../config/credentials.ts";
import { COMMIT, VERSION } from "../config/version.ts";
import type { Emit } from "../core/event.ts";
import type { OnFailpoint } from "../core/failpoint.ts";
import { Outage } from "../core/outage.ts";
import type { MessageStore } from "../core/ports.ts";
import { secondsOf } from "../core/time.ts";
import { EventLog } from "../log/event_log.ts";
import { type Log, takeDroppedLines } from "../log/log.ts";
import { openBesideGateway, openGatewayStore } from "../store/gateway_store.ts";
import type { DeviceKeys } from "../store/device_keys.ts";
import { type Clock, steadyClock, SYSTEM_CLOCK } from "../time/clock.ts";
import { BearerAuth } from "./api/bearer_auth.ts";
import { importFirstKey } from "./api/first_key.ts";
import type { RequestGate } from "./api/request_gate.ts";
import { ApiRefusals } from "./api/refusals.ts";
import { CommandWaits } from "./api/command_waits.ts";
import { BODY_TIMEOUT_MS, createRoutes } from "./api/routes.ts";
import { ClockWatch } from "./backend/clock_watch.ts";
import { HttpBackend } from "./backend/http_backend.ts";
import { DropCounter } from "./broker/drop_counter.ts";
import { MqttBroker } from "./broker/mqtt_broker.ts";
import { CatchUp } from "./pipeline/catch_up.ts";
import { CommandRequests } from "./pipeline/command_requests.ts";
import { Cluster } from "./cluster/cluster.ts";
import { CommandSender } from "./pipeline/command_sender.ts";
import { CommandWatch } from "./pipeline/command_watch.ts";
import { Committer } from "./pipeline/committer.ts";
import { Forwarder } from "./pipeline/forwarder.ts";
import { Intake } from "./pipeline/intake.ts";
import { PageMemory } from "./page/page_memory.ts";
import type { PageSources } from "./page/page_sources.ts";
import { Receipts } from "./pipeline/receipts.ts";
import { Responder } from "./pipeline/responder.ts";
import { Verifier } from "./pipeline/verifier.ts";
import { enterEvent } from "./telemetry/event_audit.ts";
import { countEvent } from "./telemetry/event_metrics.ts";
import { EventFeed } from "./telemetry/event_feed.ts";
import { ExpiryWatch, watchedFiles } from "./telemetry/expiry_watch.ts";
import type { GaugeSources } from "./telemetry/gauges.ts";
import { unreadiness } from "./telemetry/health.ts";
import { Metrics } from "./telemetry/metrics.ts";
import { SecretUses } from "./pipeline/secret_uses.ts";

/** What a gateway works with, and what a test may put in place of the real thing. */
export interface GatewayOptions {
  readonly log: Log;
  /** Read from the configuration's files unless they are given. */
  readonly credentials?: Credentials;
  /** Where the API's requests come from; without it, there is no API. */
  readonly gate?: RequestGate;
  /** What is seen of it; without one, it has its own. */
  readonly feed?: EventFeed;
  /** What its page remembers; without one, it has its own. */
  readonly memory?: PageMemory;
  readonly clock?: Clock;
  /** In [0, 1); spreads retries. */
  readonly random?: () => number;
  /** How long the API waits for a request's body. */
  readonly bodyTimeoutMs?: number;
  readonly failpoint?: OnFailpoint;
}

/** A gateway's parts, as its life needs them. */
export type GatewayParts = Awaited<ReturnType<typeof assemble>>;

/** Makes every part of a gateway, in the order in which they need each other. */
export async function assemble(config: Config, options: GatewayOptions) {
  const { checks } = config;
  const clock = options.clock ?? SYSTEM_CLOCK;
  const failpoint = options.failpoint ?? (() => {});
  const credentials = options.credentials ?? readCredentials(config);
  const eventLog = new EventLog(options.log, config.log, takeDroppedLines);
  const feed = options.feed ?? makeFeed(clock);
  const memory = options.memory ?? new PageMemory(clock);
  const listeners: Emit[] = [(event) => eventLog.write(event), (event) => feed.take(event)];
  listeners.push((event) => memory.take(event));
  const emit: Emit = (event) => listeners.forEach((listener) => listener(event));

  const store = await openGatewayStore(config, credentials.store);
  const { messages, keys, apiKeys, registry: devices } = store;
  const { attendedSeconds, newestSeconds, steady } = await messages.marks();
  const steadyMs = steadyClock(clock, steady);
  const { broker, cluster, toDevices } = assembleBroker(
    { messages, clock, emit },
    { ...config, credentials: credentials.broker },
  );
  const outage = new Outage(crypto.randomUUID(), attendedSeconds);
  const catchUp = new CatchUp({ outage, broker, emit });
  const committer = new Committer({
    ...{ store: messages, catchUp, policy: checks, clock, steadyMs, emit, failpoint },
  });
  const clockWatch = new ClockWatch(clock, { emit, toleranceSeconds: checks.toleranceSeconds });
  const backend = new HttpBackend(addressOf(config, credentials), clock, { clockWatch });
  const answers = { broker: toDevices, keys, store: messages, clock, emit };
  const { responder, receipts } = assembleAnswers(answers, config);
  const forwarder = new Forwarder({
    ...{ clock, steadyMs, random: options.random ?? Math.random, store: messages, backend },
    ...{ responder, committer, emit, failpoint },
  }, { ...config.backend, hasCallbacks: config.commands.callbackPath !== undefined });
  const commandParts = { ...answers, committer, failpoint, commands: store.commands };
  const commands = assembleCommands(commandParts, config, emit);
  const verifier = new Verifier(keys);
  const hearing = cluster?.hearing(commands.sender) ?? commands.sender;
  const intake = new Intake(
    { clock, verifier, committer, commands: hearing, receipts, catchUp, emit, failpoint },
    { ...config.store, ...checks },
  );
  const flow = { committer, keys, broker, intake, catchUp, forwarder, steadyMs, messages, cluster };
  const health = healthOf({ ...flow, receipts });
  const metrics = assembleMetrics(
    { ...flow, ...health, clock, clockWatch },
    { ...config, brokerPair: credentials.broker },
  );
  listeners.push((event) => countEvent(event, metrics));
  listeners.push((event) => enterEvent(event, { committer, clock }));
  await importFirstKey(apiKeys, {
    ...firstKeyOf(config, credentials),
    nowMs: clock.wallMs(),
    emit,
  });
  const refusals = new ApiRefusals(emit);
  const expiryWatch = new ExpiryWatch({ clock, emit, files: watchedFiles(config), devices });
  const api = assembleApi(
    { ...flow, ...health, ...{ clock, emit, store, commands, metrics, feed, memory, refusals } },
    { config, credentials, fileEnds: expiryWatch.fileEnds, ...options },
  );
  tellFindings({ keys, clock, emit }, { ...checks, newestSeconds });
  return {
    ...{ store, messages, keys, broker, catchUp, committer, backend, forwarder, intake, api },
    ...{ emit, eventLog, feed, refusals, gate: options.gate, commands, receipts, cluster },
    backendCa: credentials.backend.ca,
    expiryWatch,
    dropCounter: new DropCounter(messages, emit),
    secretUses: new SecretUses(keys, emit),
  };
}

/** What the API works with: most of a gateway, since it shows it. */
interface ApiParts extends
  Omit<
    PageSources,
    "about" | "fileEnds" | "openStore" | "broker" | "committer" | "keys"
  > {
  readonly committer: Committer;
  readonly keys: DeviceKeys;
  readonly broker: MqttBroker;
  readonly store: Awaited<ReturnType<typeof openGatewayStore>>;
  readonly commands: ReturnType<typeof assembleCommands>;
  readonly metrics: Metrics;
  readonly feed: EventFeed;
  readonly refusals: ApiRefusals;
  readonly emit: Emit;
}

/** The API with the page. */
function assembleApi(
  parts: ApiParts,
  { config, credentials, fileEnds, bodyTimeoutMs = BODY_TIMEOUT_MS }: {
    readonly config: Config;
    readonly credentials: Credentials;
    readonly fileEnds: PageSources["fileEnds"];
    readonly bodyTimeoutMs?: number;
  },
) {
  const { clock, committer, memory, refusals, store } = parts;
  committer.watchPending((pending) => memory.flow.wait(pending));
  const about = aboutOf(config, clock);
  const openStore = () => openBesideGateway(config, credentials.store);
  return createRoutes({
    ...{ ...parts.commands.api, ...parts, bodyTimeoutMs },
    commands: store.commands,
    auth: new BearerAuth(() => store.apiKeys.current(), clock, (...one) => refusals.addKey(...one)),
    sources: { ...parts, about, fileEnds, openStore },
    onRefused: (refusal) => refusals.addCommand(refusal),
  });
}

/** What the page says of the gateway itself. */
function aboutOf({ node, store, checks }: Config, clock: Clock): PageSources["about"] {
  return {
    version: VERSION,
    node: node.name,
    engine: store.server === undefined ? "sqlite" : "postgres",
    toleranceSeconds: checks.toleranceSeconds,
    startedMs: clock.wallMs(),
  };
}

/** What the page of a run remembers, over gateways that follow one another. */
export function makePageMemory(clock: Clock = SYSTEM_CLOCK): PageMemory {
  return new PageMemory(clock);
}

/** A feed of a run that no other has the name of. */
export function makeFeed(clock: Clock = SYSTEM_CLOCK): EventFeed {
  return new EventFeed(clock, crypto.randomUUID().slice(0, 8));
}

/** The broker, and what reaches devices at the brokers of others, if there are any. */
function assembleBroker(
  { messages, clock, emit }: {
    readonly messages: Pick<MessageStore, "nodes">;
    readonly clock: Clock;
    readonly emit: Emit;
  },
  { broker: settings, node, checks, credentials }: Config & {
    readonly credentials: Credentials["broker"];
  },
) {
  const broker = new MqttBroker({ ...settings, ...credentials }, emit);
  const { nodes } = messages;
  const cluster = nodes && new Cluster({ nodes, broker, clock, emit }, { ...node, ...checks });
  return { broker, cluster, toDevices: cluster?.broker ?? broker };
}

function firstKeyOf({ api }: Config, credentials: Credentials) {
  return { digest: credentials.api.keyDigest, file: api.keyFile };
}

/** Says what is odd about the store at a start. */
function tellFindings(
  { keys, clock, emit }: {
    readonly keys: DeviceKeys;
    readonly clock: Clock;
    readonly emit: Emit;
  },
  { newestSeconds, toleranceSeconds }: {
    readonly newestSeconds: number;
    readonly toleranceSeconds: number;
  },
): void {
  const behindSeconds = newestSeconds - secondsOf(clock.wallMs());
  if (behindSeconds > toleranceSeconds) emit({ kind: "clock_behind", behindSeconds });
  for (const damaged of keys.newlyDamaged()) emit({ kind: "device_damaged", ...damaged });
}

/** Why messages are not taken, and what else is wrong. */
function healthOf(
  { receipts, ...parts }: Parameters<typeof unreadiness>[0] & {
    readonly broker: { readonly faults: readonly string[] };
    readonly forwarder: { readonly faults: readonly string[] };
    readonly receipts: { readonly faults: readonly string[] };
  },
): Health {
  const { broker, forwarder } = parts;
  return {
    unreadiness: () => unreadiness(parts),
    degraded: () => [...broker.faults, ...forwarder.faults, ...receipts.faults],
  };
}

type Health = Pick<GaugeSources, "unreadiness" | "degraded">;

/** What the metrics show of the parts, read when they are asked for. */
function assembleMetrics(
  { committer, keys, broker, intake, catchUp, forwarder, clock, clockWatch, ...others }: Health & {
    readonly committer: Pick<Committer, "pending" | "fault">;
    readonly keys: { readonly size: number };
    readonly broker: Pick<MqttBroker, "isConnected">;
    readonly intake: Pick<Intake, "isPaused">;
    readonly catchUp: Pick<CatchUp, "isDone">;
    readonly forwarder: Forwarder;
    readonly steadyMs: () => number;
    readonly messages: Pick<MessageStore, "counts">;
    readonly cluster: Cluster | undefined;
    readonly clock: Pick<Clock, "wallMs">;
    readonly clockWatch: Pick<ClockWatch, "aheadSeconds">;
  },
  { store, node, brokerPair }: Pick<Config, "store" | "node"> & {
    readonly brokerPair: Credentials["broker"];
  },
): Metrics {
  const { messages } = others;
  const startedSeconds = secondsOf(clock.wallMs());
  return new Metrics({
    ...others,
    pending: () => committer.pending,
    pendingLimit: store.maxPending,
    isStoreFailing: () => committer.fault !== undefined,
    backendAheadSeconds: () => clockWatch.aheadSeconds,
    devices: () => keys.size,
    brokerConnected: () => broker.isConnected,
    intakePaused: () => intake.isPaused,
    catchingUp: () => !catchUp.isDone,
    forwarder,
    counts: () => messages.counts(),
  }, {
    ...{ version: VERSION, commit: COMMIT, node: node.name, startedSeconds },
    brokerCertificate: new X509Certificate(brokerPair.certificate).serialNumber.toLowerCase(),
  });
}

/** Where the backend is, and who the gateway is to it. */
function addressOf({ backend, checks, commands }: Config, credentials: Credentials) {
  const { callbackPath } = commands;
  return { ...backend, ...checks, ...credentials.backend, callbackPath };
}

/** What tells devices what became of their messages. */
function assembleAnswers(
  parts: ConstructorParameters<typeof Receipts>[0],
  { checks, backend, receipts: settings }: Config,
) {
  const receipts = new Receipts(parts, { ...checks, ...backend, ...settings });
  return { receipts, responder: receipts.alongside(new Responder(parts)) };
}

/** What sends commands, what accepts them, what tells of their changes, and all that as the API's. */
function assembleCommands(
  parts: ConstructorParameters<typeof CommandSender>[0],
  { checks, commands }: Config,
  emit: Emit,
) {
  const sender = new CommandSender(parts, { ...checks, ...commands });
  const requests = new CommandRequests({ ...parts, sender }, checks);
  const watch = new CommandWatch(emit);
  const waits = new CommandWaits({ ...parts, watch }, commands.waitLongestMs);
  const { ttlLongestSeconds } = commands;
  return { sender, watch, waits, api: { ...parts, requests, waits, ttlLongestSeconds } };
}
