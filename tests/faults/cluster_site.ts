/** Several nodes, each a broker and a gateway process, on a pair of PostgreSQL servers; and a judge. */

import { setTimeout as pause } from "node:timers/promises";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { BrokerProcess } from "../../src/demo/sandbox/broker_process.ts";
import { PostgresPair } from "../../src/demo/sandbox/postgres_pair.ts";
import { Connection } from "../../src/store/postgres/connection.ts";
import { openStore } from "../../src/store/open_store.ts";
import { type PostgresPlace, storePlaceIn } from "../../src/store/store_place.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "../support/free_ports.ts";
import { LiveSite } from "../support/live_site.ts";
import { StoreLine } from "../support/store_line.ts";
import { withFolder } from "../support/with_folder.ts";
import { Balancer } from "./balancer.ts";
import { check, type Figures, type Named, type StoreContents } from "./checker.ts";
import { Dice } from "./dice.ts";
import { Fleet } from "./fleet.ts";
import { GatewayLife } from "./gateway_life.ts";

/** After so long the others take a node for dead, as a setting. */
const LEASE = "2s";

const SETTLE_TIMEOUT_MS = 60_000;

/** How a scenario begins. */
interface ClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly devices: number;
}

/** One node: its own site, broker and gateway. */
export class ClusterNode {
  readonly site: LiveSite;
  /** Its lines to the servers of the store. */
  readonly lines: readonly StoreLine[];
  readonly #environment: Readonly<Record<string, string>>;
  readonly #balancer: Balancer;
  #gateway: GatewayLife | undefined;

  constructor(
    site: LiveSite,
    { lines, environment, balancer }: {
      readonly lines: readonly StoreLine[];
      readonly environment: Readonly<Record<string, string>>;
      readonly balancer: Balancer;
    },
  ) {
    this.site = site;
    this.lines = lines;
    this.#environment = environment;
    this.#balancer = balancer;
  }

  get #port(): number {
    return this.site.config.devices.port;
  }

  get gateway(): GatewayLife {
    return this.#gateway!;
  }

  /** Starts what does not run, and lets devices come. */
  async start(): Promise<void> {
    if (this.site.broker === undefined) await this.site.startBroker();
    if (this.#gateway === undefined) {
      this.#gateway = GatewayLife.begin(this.site.layout.directory, this.#environment);
    }
    await this.#gateway.ready();
    this.#balancer.add(this.#port);
  }

  /** Ends the gateway as kill -9 does; devices go to the others. */
  async killGateway(): Promise<void> {
    await this.#gateway?.end();
    this.#gateway = undefined;
    this.#balancer.remove(this.#port);
  }

  /** Ends everything as a power cut would. */
  async kill(): Promise<void> {
    const broker: BrokerProcess | undefined = this.site.broker;
    broker?.kill("SIGKILL");
    await broker?.exited;
    await this.site.stopBroker();
    await this.killGateway();
  }

  /** Stops the gateway where it is for a while. */
  async freeze(ms: number): Promise<void> {
    this.gateway.kill("SIGSTOP");
    await pause(ms);
    this.gateway.kill("SIGCONT");
  }

  /** Cuts it off from the store for a while. */
  async cutOff(ms: number): Promise<void> {
    for (const line of this.lines) line.cut();
    await pause(ms);
    for (const line of this.lines) line.heal();
  }

  async close(): Promise<void> {
    await this.#gateway?.end();
    await this.site.close();
    for (const line of this.lines) await line.close();
  }
}

/** All of it. */
export class ClusterSite {
  readonly nodes: readonly ClusterNode[];
  readonly postgres: PostgresPair;
  readonly balancer: Balancer;
  readonly fleet: Fleet;
  readonly #place: PostgresPlace;

  private constructor(
    parts: Pick<ClusterSite, "nodes" | "postgres" | "balancer" | "fleet"> & {
      readonly place: PostgresPlace;
    },
  ) {
    this.nodes = parts.nodes;
    this.postgres = parts.postgres;
    this.balancer = parts.balancer;
    this.fleet = parts.fleet;
    this.#place = parts.place;
  }

  /** Runs `work` on a site whose nodes and devices run. */
  static async with<T>(
    options: ClusterOptions,
    work: (site: ClusterSite) => Promise<T>,
  ): Promise<T> {
    return await withFolder(async (folder) => {
      await Deno.chmod(folder, 0o755); // the database's user has to enter it
      const ports = freePorts(2) as [number, number];
      const settings = ["log_min_messages = panic", "wal_receiver_status_interval = 1s"];
      const postgres = await PostgresPair.create({ folder, ports, settings });
      const balancer = new Balancer(new Dice(options.seed));
      let nodes: ClusterNode[] = [];
      let fleet: Fleet | undefined;
      try {
        nodes = await makeNodes(folder, { count: options.nodes, postgres, balancer });
        const [first] = nodes as [ClusterNode];
        for (const node of nodes) await node.start();
        fleet = await Fleet.start({
          register: (deviceId) => first.site.register(deviceId),
          config: { devices: { port: balancer.port } },
        }, { seed: options.seed, devices: options.devices, everyMs: 40, unansweredMax: 20 });
        const place = storePlaceIn(first.site.config) as PostgresPlace;
        return await work(new ClusterSite({ nodes, postgres, balancer, fleet, place }));
      } finally {
        await fleet?.close();
        await balancer.close();
        for (const node of nodes) await node.close();
        await postgres.end();
      }
    });
  }

  /** Readings that the backend has received. */
  get received() {
    return this.nodes[0]!.site.backend.received;
  }

  /** Waits until readings come that were not there before. */
  async flowing(): Promise<void> {
    const before = this.received.length;
    const enough = before + this.fleet.devices.length;
    await poll("readings to flow again", () => this.received.length > enough, {
      timeoutMs: SETTLE_TIMEOUT_MS,
    });
  }

  /**
   * Lets everything come to its end, and judges. Not every reading is seen answered: an answer that
   * waits in a broker for a device that went elsewhere waits in vain.
   */
  async judge(): Promise<Figures> {
    await this.fleet.quiet();
    const violations: string[] = [];
    await poll("every reading to be delivered", async () => {
      await pause(200);
      const received = new Set(this.received.map(({ messageId }) => messageId));
      const isDelivered = this.fleet.sent.every(({ messageId }) => received.has(messageId));
      return isDelivered && (await this.#stored()).outbox.length === 0;
    }, { timeoutMs: SETTLE_TIMEOUT_MS }).catch((error) => violations.push(error.message));
    const stored = await this.#stored(); // before: what leaves the outbox meanwhile is received
    const received = this.received.map(({ path, messageId, body }) => ({
      ...{ deviceId: path.split("/")[2]!, messageId, body },
    }));
    const { sent, replays } = this.fleet;
    const figures = check({ sent, replays, received, stored });
    return { ...figures, violations: [...violations, ...figures.violations] };
  }

  async #stored(): Promise<StoreContents> {
    const connection = new Connection(this.#place, { purpose: "judge", author: "command" });
    try {
      const ask = async (text: string) => (await connection.query(text)).map(namedOf);
      const carried = async (table: string) =>
        (await connection.query(`SELECT * FROM ${table} ORDER BY sequence`)).map((row) => ({
          ...namedOf(row),
          body: row["payload"] as Uint8Array,
        }));
      return {
        outbox: await carried("outbox"),
        dead: await carried("dead_letters"),
        remembered: await ask("SELECT device_id, message_id::text FROM replay_guard"),
        accepted: await ask("SELECT device_id, message_id FROM witnessed ORDER BY number"),
      };
    } finally {
      await connection.close();
    }
  }
}

function namedOf(row: Readonly<Record<string, unknown>>): Named {
  return { deviceId: row["device_id"] as string, messageId: row["message_id"] as string };
}

/** The sites of the nodes, the first of which is the one that is administered. */
async function makeNodes(
  folder: string,
  { count, postgres, balancer }: {
    readonly count: number;
    readonly postgres: PostgresPair;
    readonly balancer: Balancer;
  },
): Promise<ClusterNode[]> {
  const nodes: ClusterNode[] = [];
  for (let i = 0; i < count; i++) {
    const name = `node_${i}`;
    const lines = postgres.ports.map((port) => new StoreLine(port));
    const url = postgres.urlBy(lines.map(({ port }) => port));
    const settings = {
      ...{ STORE_ENGINE: "postgres", STORE_URL: url, NODE_NAME: name, NODE_LEASE: LEASE },
      ...{ BACKEND_RETRY_FIRST: "100ms", BACKEND_RETRY_LONGEST: "1s" },
    };
    const first = nodes[0]?.site;
    const site = first
      ? await first.makeNode(name, { settings })
      : await LiveSite.make(`${folder}/site`, { settings });
    const environment = Object.fromEntries(
      Object.entries(settings).map(([key, value]) => [`SECURE_IOT_GATEWAY_${key}`, value]),
    );
    if (first === undefined) await makeTables(site);
    nodes.push(new ClusterNode(site, { lines, environment, balancer }));
  }
  nodes[0]!.site.backend.answer = ({ messageId }) => new Response(messageId);
  return nodes;
}

/** The tables, and one of the harness: what was ever put into the outbox. */
async function makeTables({ config, layout }: LiveSite): Promise<void> {
  const place = storePlaceIn(config) as PostgresPlace;
  const store = await openStore(place, { author: "command", create: true });
  const key = await Deno.readTextFile(layout.apiKey);
  await store.apiKeys.importFirst(apiKeyDigest(key), Date.now());
  await store.close();
  const connection = new Connection(place, { purpose: "witness", author: "command" });
  await connection.query(`
    CREATE TABLE witnessed (number bigint GENERATED ALWAYS AS IDENTITY, device_id text, message_id text);
    CREATE FUNCTION witness() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      INSERT INTO secure_iot_gateway.witnessed (device_id, message_id)
      VALUES (NEW.device_id, NEW.message_id);
      RETURN NULL;
    END $$;
    CREATE TRIGGER outbox_witness AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION witness();`);
  await connection.close();
}
