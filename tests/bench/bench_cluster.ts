/** A site whose store several gateways share, each with a broker and its part of the devices. */

import { readConfig } from "../../src/config/config.ts";
import { withSetting } from "../../src/config/toml_edit.ts";
import { BrokerProcess } from "../../src/demo/sandbox/broker_process.ts";
import { PostgresPair } from "../../src/demo/sandbox/postgres_pair.ts";
import type { SiteLayout } from "../../src/site/layout.ts";
import { createNode } from "../../src/site/operations/node_folder.ts";
import { migrateStore, moveStore } from "../../src/store/open_store.ts";
import { type PostgresPlace, storePlaceIn } from "../../src/store/store_place.ts";
import { freePorts } from "../support/free_ports.ts";
import type { BenchSite } from "./bench_site.ts";

/** Of a machine that has memory for it. */
const SERVER_SETTINGS = [
  "shared_buffers = 512MB",
  "max_wal_size = 4GB",
  "log_min_messages = panic",
];

/** The gateways' sites, and the servers of their store. */
export interface BenchCluster {
  readonly sites: readonly BenchSite[];
  readonly postgres: PostgresPair;
}

/** Puts a site's store on a pair of servers, and adds gateways until there are `nodes`. */
export async function withBenchCluster<T>(
  site: BenchSite,
  nodes: number,
  work: (cluster: BenchCluster) => Promise<T>,
): Promise<T> {
  const ports = freePorts(2) as [number, number];
  const { folder, devices } = site;
  const postgres = await PostgresPair.create({ folder, ports, settings: SERVER_SETTINGS });
  const added: BenchSite[] = [];
  try {
    await moveToServers(site.layout, postgres.url);
    for (let i = 1; i < nodes; i++) added.push(await addNode(site, `node_${i}`));
    const sites = [site, ...added].map((one, i) => ({
      ...one,
      devices: devices.filter((_, place) => place % nodes === i),
    }));
    return await work({ sites, postgres });
  } finally {
    for (const { broker } of added) await broker.stop();
    await postgres.end();
  }
}

async function moveToServers({ configuration, database, directory }: SiteLayout, url: string) {
  const changes = [
    { section: "store", key: "engine", value: "postgres" },
    { section: "store", key: "url", value: url },
    { section: "node", key: "name", value: "node_0" },
  ];
  const toml = changes.reduce(withSetting, await Deno.readTextFile(configuration));
  await Deno.writeTextFile(configuration, toml);
  const config = configOf(toml, directory);
  const place = storePlaceIn(config) as PostgresPlace;
  await migrateStore(place);
  await moveStore({ database }, place);
}

function configOf(toml: string, directory: string) {
  const read = readConfig(toml, { environment: {}, directory });
  if (!read.ok) throw new Error(read.faults.join("; "));
  return read.config;
}

async function addNode(site: BenchSite, name: string): Promise<BenchSite> {
  const [mqtt, gateway, api] = freePorts(3) as [number, number, number];
  const { configuration, directory } = site.layout;
  const made = await createNode({
    ...{ layout: site.layout, name, hosts: [], at: undefined, nowMs: Date.now() },
    config: configOf(await Deno.readTextFile(configuration), directory),
    ports: { mqtt, gateway, api },
  });
  if (!made.ok) throw new Error(JSON.stringify(made.faults));
  const broker = await BrokerProcess.start(made.layout.brokerConfiguration);
  return { ...site, layout: made.layout, ports: { mqtt, gateway, api }, broker };
}
