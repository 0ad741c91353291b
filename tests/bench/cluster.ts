/**
 * Several gateways on a pair of PostgreSQL servers, beside one on SQLite, in turns. Devices are
 * subscribed to their answers, as they should be: a gateway looks for one that is not at the others.
 */

import type { PostgresPair } from "../../src/demo/sandbox/postgres_pair.ts";
import { findPostgres } from "../../src/demo/sandbox/postgres_server.ts";
import { type BenchCluster, withBenchCluster } from "./bench_cluster.ts";
import { withBenchSite } from "./bench_site.ts";
import { type Burst, burst, burstOnSite, type SiteRun, warmUp } from "./burst.ts";
import { type Contender, gateway, withContender } from "./contender.ts";
import { medianBurst } from "./contest.ts";
import type { Figure, Findings, Part } from "./part.ts";
import { processStats } from "./process_stats.ts";
import { subscribeAll } from "./publishers.ts";
import type { Scale } from "./scale.ts";
import { median } from "./statistics.ts";
import { readable, type Table } from "./table.ts";

/** The part. */
export const CLUSTER: Part = {
  name: "cluster",
  purpose: "several gateways on a PostgreSQL primary and its standby, beside one on SQLite",
  measure,
};

/** What the servers of a store have spent on a message. */
interface ServerCosts {
  /** CPU time of all their processes, microseconds. */
  readonly primaryMicros: number;
  readonly standbyMicros: number;
  /** Of the log, which the standby gets and both write through. */
  readonly walBytes: number;
  /** Statements and transactions that were committed. */
  readonly transactions: number;
  /** Each is one round trip and one commit. */
  readonly batches: number;
}

type Round = Burst & {
  readonly servers: ServerCosts | undefined;
  /** What a remembered id takes at each server, its part of the index included. */
  readonly idBytes: number | undefined;
};

const NO_COSTS: ServerCosts = {
  ...{ primaryMicros: 0, standbyMicros: 0, walBytes: 0, transactions: 0, batches: 0 },
};

async function measure(scale: Scale): Promise<Findings> {
  if (findPostgres() === undefined) {
    const note = "PostgreSQL is not installed here, and left out: apt-get install postgresql";
    return { figures: [], notes: [note], data: [] };
  }
  const rounds: Round[][] = [];
  for (let i = 0; i < scale.rounds; i++) {
    const round = [await onSqlite(scale)];
    for (const nodes of scale.clusterNodes) round.push(await onPostgres(nodes, scale));
    rounds.push(round);
  }
  const summaries = rounds[0]!.map((_, i) => summarise(rounds.map((round) => round[i]!)));
  return { figures: figuresOf(rounds), table: tableOf(summaries), data: { rounds, summaries } };
}

async function onSqlite({ devices, messages }: Scale): Promise<Round> {
  const contender = gateway({}, "1 gateway on SQLite");
  const made = await withBenchSite(
    { devices },
    async (site) => burstOnSite(await subscribeAll(site), contender, messages),
  );
  return { ...made, servers: undefined, idBytes: undefined };
}

async function onPostgres(nodes: number, { devices, messages }: Scale): Promise<Round> {
  const name = `${nodes} gateway${nodes === 1 ? "" : "s"} on PostgreSQL`;
  return await withBenchSite(
    { devices: Math.max(devices, nodes) },
    (site) =>
      withBenchCluster(site, nodes, async ({ sites, postgres }) => {
        const subscribed = await Promise.all(sites.map(subscribeAll));
        return await withContenders(gateway({}, name), subscribed, async (runs) => {
          await warmUp(runs, messages);
          const before = await readServers(postgres);
          const made = await burst(runs, messages);
          const after = await readServers(postgres);
          const servers = costsOf(made.messages, { before, after });
          return { ...made, servers, idBytes: await readIdBytes(postgres) };
        });
      }),
  );
}

/** Runs `work` while a contender runs on each of the sites. */
async function withContenders<T>(
  contender: Contender,
  [site, ...others]: BenchCluster["sites"],
  work: (runs: readonly SiteRun[]) => Promise<T>,
): Promise<T> {
  if (site === undefined) return await work([]);
  return await withContender(
    contender,
    site,
    (running) => withContenders(contender, others, (runs) => work([{ site, running }, ...runs])),
  );
}

/** What the servers have spent so far. */
async function readServers({ primary, standby }: PostgresPair): Promise<ServerCosts> {
  const text = await primary.sql(
    `SELECT json_build_array(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0'),
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
       (SELECT sum(last_batch) FROM secure_iot_gateway.nodes))`,
    "gateway",
  );
  const [walBytes, transactions, batches] = JSON.parse(text) as [number, number, number];
  const [ofPrimary, ofStandby] = await processStats(primary.pid, standby!.pid);
  return {
    primaryMicros: ofPrimary!.cpuMs * 1000,
    standbyMicros: ofStandby!.cpuMs * 1000,
    ...{ walBytes, transactions, batches },
  };
}

async function readIdBytes({ primary }: PostgresPair): Promise<number> {
  const ids = "secure_iot_gateway.replay_guard";
  const text = await primary.sql(
    `SELECT sum(pg_total_relation_size(inhrelid)) / (SELECT count(*) FROM ${ids})
     FROM pg_inherits WHERE inhparent = '${ids}'::regclass`,
    "gateway",
  );
  return Number(text);
}

function costsOf(
  messages: number,
  { before, after }: { before: ServerCosts; after: ServerCosts },
): ServerCosts {
  return costsBy((cost) => (after[cost] - before[cost]) / messages);
}

function costsBy(read: (cost: keyof ServerCosts) => number): ServerCosts {
  const costs = Object.keys(NO_COSTS) as (keyof ServerCosts)[];
  return Object.fromEntries(costs.map((cost) => [cost, read(cost)])) as unknown as ServerCosts;
}

function summarise(rounds: readonly Round[]): Round {
  const costs = rounds.flatMap(({ servers }) => servers ?? []);
  const servers = costs.length === 0
    ? undefined
    : costsBy((cost) => median(costs.map((one) => one[cost])));
  const sizes = rounds.flatMap(({ idBytes }) => idBytes ?? []);
  const idBytes = sizes.length === 0 ? undefined : median(sizes);
  return { ...medianBurst(rounds), servers, idBytes };
}

/** CPU time of everything that a message goes through, which leaves out the publishers. */
function wholeMicros({ cpuMicros, servers = NO_COSTS }: Round): number {
  const { contender, broker, backend } = cpuMicros;
  return contender + broker + backend + servers.primaryMicros + servers.standbyMicros;
}

/** Ratios are taken within a round, since the machine changes. */
function figuresOf(rounds: readonly (readonly Round[])[]): Figure[] {
  const ratio = (read: (round: Round) => number) =>
    median(rounds.map((round) => read(round[1]!) / read(round[0]!)));
  const against = [
    { what: "throughput", value: ratio(({ perSecond }) => perSecond) },
    { what: "CPU time of the gateway", value: ratio(({ cpuMicros }) => cpuMicros.contender) },
    { what: "CPU time of all", value: ratio(wholeMicros) },
  ];
  const name = rounds[0]![1]!.contender;
  return [
    ...against.map(({ what, value }) => ({
      what: `${what}: ${name}, of that on SQLite`,
      value: 100 * value,
      unit: "%",
    })),
    {
      what: "lost",
      value: Math.max(...rounds.flat().map(({ lost }) => lost)),
      unit: "messages",
      target: { atMost: 0 },
    },
  ];
}

function tableOf(summaries: readonly Round[]): Table {
  const columns: Readonly<Record<string, (one: Round) => number | undefined>> = {
    "messages/s": ({ perSecond }) => perSecond,
    "CPU µs a message: gateways": ({ cpuMicros }) => cpuMicros.contender,
    "brokers": ({ cpuMicros }) => cpuMicros.broker,
    "primary": ({ servers }) => servers?.primaryMicros,
    "standby": ({ servers }) => servers?.standbyMicros,
    "backend": ({ cpuMicros }) => cpuMicros.backend,
    "all these": wholeMicros,
    "publishers": ({ cpuMicros }) => cpuMicros.publishers,
    "log bytes a message": ({ servers }) => servers?.walBytes,
    "messages a batch": ({ servers }) => servers && 1 / servers.batches,
    "transactions a batch": ({ servers }) => servers && servers.transactions / servers.batches,
    "bytes an id": ({ idBytes }) => idBytes,
    "RSS MiB": ({ rssPeakMib }) => rssPeakMib,
    "lost": ({ lost }) => lost,
  };
  return {
    head: ["", ...Object.keys(columns)],
    rows: summaries.map((one) => [
      one.contender,
      ...Object.values(columns).map((read) => {
        const value = read(one);
        return value === undefined ? "" : readable(value);
      }),
    ]),
  };
}
