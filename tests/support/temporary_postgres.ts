/** A PostgreSQL server of the tests' own, on a free port of this machine. */

import {
  findPostgres,
  POSTGRES_USER,
  PostgresServer,
} from "../../src/demo/sandbox/postgres_server.ts";
import { poll } from "../../src/time/poll.ts";
import type { PostgresPlace } from "../../src/store/store_place.ts";
import { freePorts } from "./free_ports.ts";

/** False: what needs a server is skipped. */
export const HAS_POSTGRES: boolean = findPostgres() !== undefined;

/** Losing power costs nothing here, and syncing takes time. */
const SETTINGS = ["fsync = off", "log_min_messages = panic"];

/** A server in a temporary folder; `end` it, and nothing of it is left. */
export class TemporaryPostgres {
  readonly server: PostgresServer;
  readonly #folder: string;
  readonly #standbys: PostgresServer[] = [];
  #databases = 0;

  private constructor(server: PostgresServer, folder: string) {
    this.server = server;
    this.#folder = folder;
  }

  static async start(): Promise<TemporaryPostgres> {
    const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-test-" });
    await Deno.chmod(folder, 0o755);
    const [port] = freePorts(1);
    const options = { folder: `${folder}/primary`, port: port!, settings: SETTINGS };
    return new TemporaryPostgres(await PostgresServer.create(options), folder);
  }

  /** A place in a new and empty database. */
  async place(node = "a"): Promise<PostgresPlace> {
    const database = `store_${++this.#databases}`;
    await this.server.sql(`CREATE DATABASE ${database} ENCODING 'UTF8' TEMPLATE template0`);
    return {
      engine: "postgres",
      hosts: [this.server, ...this.#standbys].map(({ port }) => ({ host: "127.0.0.1", port })),
      ...{ user: POSTGRES_USER, database, password: undefined, tls: undefined, node },
      isReplicated: this.#standbys.length > 0,
    };
  }

  /** A standby that has everything before it is committed. */
  async addStandby(): Promise<PostgresServer> {
    const [port] = freePorts(1);
    const folder = `${this.#folder}/standby`;
    const standby = await PostgresServer.follow(this.server, {
      ...{ folder, port: port!, settings: SETTINGS, name: "standby" },
    });
    this.#standbys.push(standby);
    await this.server.sql("ALTER SYSTEM SET synchronous_standby_names = 'standby'");
    await this.server.sql("SELECT pg_reload_conf()");
    await poll("the standby to be waited for", async () => {
      return await this.server.sql("SELECT sync_state FROM pg_stat_replication") === "sync";
    });
    return standby;
  }

  async end(): Promise<void> {
    for (const server of [this.server, ...this.#standbys]) await server.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** Runs `work` beside a new server. */
export async function withPostgres(
  work: (postgres: TemporaryPostgres) => Promise<void>,
): Promise<void> {
  const postgres = await TemporaryPostgres.start();
  try {
    await work(postgres);
  } finally {
    await postgres.end();
  }
}

/** Stops all processes of a server where they are; what this returns lets them go on. */
export async function freeze(server: PostgresServer): Promise<() => void> {
  const text = await server.sql("SELECT pid FROM pg_stat_activity");
  const pids = [server.pid, ...text.split("\n").map(Number)];
  const signal = (name: Deno.Signal) => {
    for (const pid of pids) {
      try {
        Deno.kill(pid, name);
      } catch {
        // it has ended
      }
    }
  };
  signal("SIGSTOP");
  return () => signal("SIGCONT");
}
