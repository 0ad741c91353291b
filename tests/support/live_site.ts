/** A whole gateway on free ports in a temporary site, with a real Mosquitto and a real backend. */

import { type Config, readConfig } from "../../src/config/config.ts";
import { readCredentials } from "../../src/config/credentials.ts";
import type { Emit } from "../../src/core/event.ts";
import { BrokerProcess } from "../../src/demo/sandbox/broker_process.ts";
import { freePorts } from "./free_ports.ts";
import { SampleBackend } from "../../src/demo/sandbox/sample_backend.ts";
import { type ConnectOptions, DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { EventLog } from "../../src/log/event_log.ts";
import type { Log } from "../../src/log/log.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { Gateway } from "../../src/gateway/gateway.ts";
import { Supervisor } from "../../src/process/supervisor.ts";
import { createNode } from "../../src/site/operations/node_folder.ts";
import { createSite } from "../../src/site/operations/site_creation.ts";
import { createDeviceBundle } from "../../src/site/operations/device_bundle.ts";
import type { SiteLayout } from "../../src/site/layout.ts";
import { InProcessWorker } from "./in_process_worker.ts";
import { sharedStoreSettings } from "./shared_postgres.ts";
import { withSiteStore } from "./site_store.ts";
import { withFolder } from "./with_folder.ts";

/** One line of the gateway's log. */
interface LogRecord {
  readonly level: string;
  readonly event: string;
  readonly message: string;
  readonly [property: string]: string | number | boolean | undefined;
}

/** What a test may change. */
export interface LiveSiteOptions {
  /** Settings, as environment variables without their prefix: `{ STORE_MAX_PENDING: "3" }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of mosquitto.conf to replace, by their first word. */
  readonly brokerLines?: Readonly<Record<string, string>>;
  /** How long the API waits for a request's body. */
  readonly bodyTimeoutMs?: number;
  /** False: the test starts the gateway itself. */
  readonly start?: boolean;
}

/** Runs `work` with a live site; everything is stopped and gone afterwards. */
export async function withLiveSite(
  work: (site: LiveSite) => Promise<void>,
  options: LiveSiteOptions = {},
): Promise<void> {
  await withFolder(async (folder) => {
    const site = await LiveSite.make(`${folder}/site`, options);
    try {
      await site.startBroker();
      if (options.start ?? true) await site.startGateway();
      await work(site);
    } finally {
      await site.close();
    }
  });
}

interface Running {
  readonly stop: AbortController;
  readonly ended: Promise<void>;
  readonly workers: readonly InProcessWorker[];
}

interface Parts {
  readonly backend: SampleBackend;
  readonly options: LiveSiteOptions;
  /** The site whose key of the API and authority of devices are used; its own if it is not given. */
  readonly apiKeyOf?: SiteLayout;
}

const RETRIES = { BACKEND_RETRY_FIRST: "20ms", BACKEND_RETRY_LONGEST: "100ms" };

function environmentOf(settings: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`SECURE_IOT_GATEWAY_${name}`, value]),
  );
}

/** The parts of a live site, and the usual ways to use them. */
export class LiveSite {
  readonly layout: SiteLayout;
  readonly config: Config;
  readonly backend: SampleBackend;
  readonly log: LogRecord[] = [];
  /** Added to the wall clock that the gateway sees, milliseconds. */
  clockOffsetMs = 0;
  /** Time that has passed for the gateway besides, on both of its clocks, milliseconds. */
  passedMs = 0;
  broker: BrokerProcess | undefined;
  readonly #devices: DeviceClient[] = [];
  #running: Running | undefined;
  #http: Deno.HttpClient | undefined;
  readonly #options: LiveSiteOptions;
  readonly #keys: SiteLayout;

  private constructor(layout: SiteLayout, config: Config, parts: Parts) {
    const { backend, options } = parts;
    this.#keys = parts.apiKeyOf ?? layout;
    this.#options = options;
    this.layout = layout;
    this.config = config;
    this.backend = backend;
  }

  static async make(directory: string, options: LiveSiteOptions): Promise<LiveSite> {
    const backend = SampleBackend.start();
    const [mqttPort, gatewayPort, apiPort] = freePorts(3) as [number, number, number];
    const created = await createSite({
      directory,
      hosts: [],
      backendUrl: backend.url,
      mqttPort,
      gatewayPort,
      apiPort,
      nowMs: Date.now(),
    });
    if (!created.ok) throw new Error(JSON.stringify(created.faults));
    await replaceLines(created.layout.brokerConfiguration, options.brokerLines ?? {});
    const settings = { ...RETRIES, ...await sharedStoreSettings(), ...options.settings };
    const environment = environmentOf(settings);
    return await LiveSite.#read(created.layout, environment, { backend, options });
  }

  /** A further gateway that shares the store of this one, and its backend. */
  async makeNode(name: string, options: LiveSiteOptions): Promise<LiveSite> {
    const [mqtt, gateway, api] = freePorts(3) as [number, number, number];
    const { layout, config, backend } = this;
    const made = await createNode({
      ...{ layout, config, name, hosts: [], at: undefined, ports: { mqtt, gateway, api } },
      nowMs: Date.now(),
    });
    if (!made.ok) throw new Error(JSON.stringify(made.faults));
    const environment = environmentOf({ ...RETRIES, ...options.settings });
    return await LiveSite.#read(made.layout, environment, { backend, options, apiKeyOf: layout });
  }

  /** The same site, whose gateway starts with other settings; the broker and the devices stay this one's. */
  async withSettings(settings: Readonly<Record<string, string>>): Promise<LiveSite> {
    const { layout, backend } = this;
    const options = { ...this.#options, settings: { ...this.#options.settings, ...settings } };
    const environment = environmentOf({ ...RETRIES, ...options.settings });
    return await LiveSite.#read(layout, environment, { backend, options });
  }

  static async #read(
    layout: SiteLayout,
    environment: Readonly<Record<string, string>>,
    parts: Parts,
  ): Promise<LiveSite> {
    const toml = await Deno.readTextFile(layout.configuration);
    const { directory } = layout;
    const read = readConfig(toml, { environment, directory });
    if (!read.ok) throw new Error(read.faults.join("; "));
    return new LiveSite(layout, read.config, parts);
  }

  async startBroker(): Promise<void> {
    this.broker = await BrokerProcess.start(this.layout.brokerConfiguration);
  }

  async stopBroker(): Promise<void> {
    await this.broker?.stop();
    this.broker = undefined;
  }

  /**
   * Starts what ships, though its worker lives in this isolate: supervisor, proxy, worker, gateway.
   * Resolves once it takes messages.
   */
  async startGateway(): Promise<void> {
    const stop = new AbortController();
    const { promise: ready, resolve: onReady } = Promise.withResolvers<void>();
    const workers: InProcessWorker[] = [];
    const options = this.#gatewayOptions();
    const startWorker = () => {
      const worker = new InProcessWorker(options);
      workers.push(worker);
      return worker;
    };
    const spec = { config: this.config, credentials: readCredentials(this.config) };
    const eventLog = new EventLog(options.log, this.config.log);
    const emit: Emit = (event) => eventLog.write(event);
    const supervisor = new Supervisor(spec, { emit, onReady, startWorker });
    this.#running = { stop, ended: supervisor.run(stop.signal), workers };
    await Promise.race([ready, this.#running.ended]);
  }

  async stopGateway(): Promise<void> {
    const running = this.#running;
    this.#running = undefined;
    running?.stop.abort();
    await running?.ended;
    await Promise.all(running?.workers.map(({ ended }) => ended) ?? []);
  }

  /** A gateway that is not started yet. */
  makeGateway(): Promise<Gateway> {
    return Gateway.open(this.config, this.#gatewayOptions());
  }

  /** Opens the site's store beside the gateway, as another process would. */
  withStore<T>(work: (store: Database) => T): T {
    const store = new Database(this.config.store.database);
    try {
      return work(store);
    } finally {
      store.close();
    }
  }

  /** Registers a device; returns its folder. */
  async register(deviceId: string): Promise<string> {
    const secret = crypto.randomUUID();
    const bundle = await createDeviceBundle({
      layout: this.layout,
      deviceId,
      secret,
      nowMs: Date.now(),
      brokerHost: "localhost",
      mqttPort: this.config.devices.port,
    });
    if (!bundle.ok) throw new Error(bundle.fault);
    const device = { deviceId, sharedSecret: secret, createdAt: Math.floor(Date.now() / 1000) };
    await withSiteStore(
      this,
      ({ registry }) => registry.addAll([{ ...device, certificate: bundle }]),
    );
    return bundle.directory;
  }

  /** Registers a device, connects it, and closes it at the end. */
  async device(deviceId: string, options: Partial<ConnectOptions> = {}): Promise<DeviceClient> {
    return await this.connect(await this.register(deviceId), options);
  }

  /** Connects the device of a folder, and closes it at the end. */
  async connect(folder: string, options: Partial<ConnectOptions> = {}): Promise<DeviceClient> {
    const device = await DeviceClient.connect(folder, {
      port: this.config.devices.port,
      ...options,
    });
    this.#devices.push(device);
    return device;
  }

  /** Asks the gateway's API, with its key unless `headers` say otherwise. */
  async api(path: string, init: RequestInit = {}, { api } = this.config): Promise<Response> {
    this.#http ??= Deno.createHttpClient({
      caCerts: [Deno.readTextFileSync(this.layout.gatewayCa.certificate)],
    });
    const key = Deno.readTextFileSync(this.#keys.apiKey).trim();
    const response = await fetch(`https://localhost:${api.port}${path}`, {
      ...init,
      headers: {
        authorization: `Bearer ${key}`,
        "content-type": "application/json",
        ...init.headers,
      },
      client: this.#http,
    });
    const body = await response.bytes(); // read to its end, nothing is left open
    return new Response(response.status === 304 ? null : body, response);
  }

  /** The value of a metric, such as `rejected_total{code="replayed"}`. */
  async metric(name: string): Promise<number> {
    const text = await (await this.api("/metrics")).text();
    const line = text.split("\n").find((line) => line.startsWith(`secure_iot_gateway_${name} `));
    if (!line) throw new Error(`There is no metric ${name}`);
    return Number(line.split(" ").at(-1));
  }

  /** Waits for a line in the gateway's log. */
  logged(event: string, matching: (record: LogRecord) => boolean = () => true): Promise<LogRecord> {
    return poll(
      `${event} in the log`,
      () => this.log.find((record) => record.event === event && matching(record)),
    );
  }

  /** Waits until the backend has received `count` readings. */
  async received(count: number): Promise<void> {
    await poll(`${count} readings`, () => this.backend.received.length >= count);
  }

  #gatewayOptions() {
    const clock = {
      wallMs: () => Date.now() + this.clockOffsetMs + this.passedMs,
      monotonicMs: () => performance.now() + this.passedMs,
    };
    const log: Log = (level, event, line) => this.log.push({ level, event, ...line });
    const { bodyTimeoutMs } = this.#options;
    return { log, clock, ...(bodyTimeoutMs !== undefined && { bodyTimeoutMs }) };
  }

  async close(): Promise<void> {
    for (const device of this.#devices) await device.close();
    await this.stopGateway();
    await this.stopBroker();
    await this.backend.stop();
    this.#http?.close();
  }
}

async function replaceLines(path: string, lines: Readonly<Record<string, string>>): Promise<void> {
  let text = await Deno.readTextFile(path);
  for (const [word, value] of Object.entries(lines)) {
    text = text.replaceAll(new RegExp(`^${word} .*$`, "gm"), `${word} ${value}`);
  }
  await Deno.writeTextFile(path, text);
}
