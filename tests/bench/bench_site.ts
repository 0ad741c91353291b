/** A site with a real broker, a real backend, and devices that have certificates. */

import { BrokerProcess } from "../../src/demo/sandbox/broker_process.ts";
import { freePorts } from "../support/free_ports.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { createSite } from "../../src/site/operations/site_creation.ts";
import { createDeviceBundle } from "../../src/site/operations/device_bundle.ts";
import type { SiteLayout } from "../../src/site/layout.ts";
import type { BenchBackend } from "./bench_backend.ts";
import { NginxBackend } from "./nginx_backend.ts";
import { withTemporaryFolder } from "./temporary_folder.ts";

/** What a site has. */
export interface BenchSiteOptions {
  /** Devices with certificates. */
  readonly devices: number;
  /** A store to begin with, which is copied; an empty one where not given. */
  readonly store?: string | undefined;
  /** Lines to be added to the broker's configuration. */
  readonly brokerLines?: string;
  /** Starts the backend, with its files in `folder`; nginx where not given. */
  readonly startBackend?: (folder: string) => Promise<BenchBackend>;
}

/** A device that can connect: its folder and its secret. */
export interface BenchDevice {
  readonly deviceId: string;
  readonly folder: string;
  readonly secret: string;
}

/** A site whose broker and backend run. */
export interface BenchSite {
  /** A temporary folder; the site is in it. */
  readonly folder: string;
  readonly layout: SiteLayout;
  /** Where devices find the broker, the gateway does, and backends the API. */
  readonly ports: { readonly mqtt: number; readonly gateway: number; readonly api: number };
  readonly broker: BrokerProcess;
  readonly backend: BenchBackend;
  readonly devices: readonly BenchDevice[];
  /** True: the broker keeps the devices' answers for them. */
  readonly isSubscribed?: boolean;
}

/** Runs `work` with a new site; everything is stopped and gone afterwards. */
export async function withBenchSite<T>(
  options: BenchSiteOptions,
  work: (site: BenchSite) => Promise<T>,
): Promise<T> {
  return await withTemporaryFolder(async (folder) => {
    const backend = await (options.startBackend ?? NginxBackend.start)(`${folder}/backend`);
    let broker: BrokerProcess | undefined;
    try {
      const made = await makeSite(folder, { ...options, backendUrl: backend.url });
      broker = await BrokerProcess.start(made.layout.brokerConfiguration);
      return await work({ ...made, folder, broker, backend });
    } finally {
      await broker?.stop();
      await backend.stop();
    }
  });
}

async function makeSite(
  folder: string,
  options: BenchSiteOptions & { readonly backendUrl: string },
): Promise<Pick<BenchSite, "layout" | "ports" | "devices">> {
  const [mqtt, gateway, api] = freePorts(3) as [number, number, number];
  const created = await createSite({
    directory: `${folder}/site`,
    hosts: [],
    backendUrl: options.backendUrl,
    mqttPort: mqtt,
    gatewayPort: gateway,
    apiPort: api,
    nowMs: Date.now(),
  });
  if (!created.ok) throw new Error(created.faults.join("; "));
  const { layout } = created;
  if (options.store !== undefined) await copyToDisk(options.store, layout.database);
  await Deno.writeTextFile(layout.brokerConfiguration, options.brokerLines ?? "", { append: true });
  const devices = await addDevices(layout, { count: options.devices, mqttPort: mqtt });
  return { layout, ports: { mqtt, gateway, api }, devices };
}

/** Written through: the system must not be busy with it during the measurement. */
async function copyToDisk(from: string, to: string): Promise<void> {
  await Deno.copyFile(from, to);
  using file = await Deno.open(to, { write: true });
  await file.sync();
}

async function addDevices(
  layout: SiteLayout,
  { count, mqttPort }: { count: number; mqttPort: number },
): Promise<BenchDevice[]> {
  const devices: BenchDevice[] = [];
  const store = new Database(layout.database);
  const registry = new Registry(store);
  for (let i = 0; i < count; i++) {
    const deviceId = `bench_${String(i).padStart(5, "0")}`;
    const secret = crypto.randomUUID();
    const bundle = await createDeviceBundle({
      layout,
      deviceId,
      secret,
      nowMs: Date.now(),
      brokerHost: "localhost",
      mqttPort,
    });
    if (!bundle.ok) throw new Error(bundle.fault);
    registry.add({ deviceId, sharedSecret: secret, createdAt: 0 }, bundle);
    devices.push({ deviceId, folder: bundle.directory, secret });
  }
  store.close();
  return devices;
}
