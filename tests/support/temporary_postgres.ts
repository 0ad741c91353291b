/** A PostgreSQL server of the tests' own, on a free port of this machine. */

import { poll } from "../../src/time/poll.ts";
import type { PostgresPlace } from "../../src/store/store_place.ts";
import { freePorts } from "./free_ports.ts";

/** It refuses to run as root. */
const NOBODY = 65_534;

const USER = "gateway";

/** A running server. */
export interface TemporaryPostgres {
  readonly port: number;
  /** A place in a new and empty database. */
  place(node?: string): Promise<PostgresPlace>;
  /** Statements as its owner, to that place's database or to none. */
  run(sql: string, database?: string): Promise<string>;
  /** As a power cut would end it. */
  kill(): Promise<void>;
  start(): Promise<void>;
  end(): Promise<void>;
}

/** The folder of its programs, as Debian has it; undefined if they are not installed. */
export const POSTGRES_PROGRAMS: string | undefined = programs();

function programs(): string | undefined {
  try {
    const versions = [...Deno.readDirSync("/usr/lib/postgresql")].map(({ name }) => Number(name));
    const newest = versions.filter((one) => one >= 15).toSorted((one, other) => other - one)[0];
    return newest === undefined ? undefined : `/usr/lib/postgresql/${newest}/bin`;
  } catch {
    return undefined;
  }
}

/** Runs `work` beside a new server, with lines for its configuration. */
export async function withPostgres(
  work: (server: TemporaryPostgres) => Promise<void>,
  settings: readonly string[] = [],
): Promise<void> {
  const server = await startPostgres(settings);
  try {
    await work(server);
  } finally {
    await server.end();
  }
}

/** A new server, with lines for its configuration; `end` it, and nothing of it is left. */
export async function startPostgres(settings: readonly string[] = []): Promise<TemporaryPostgres> {
  const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-test-" });
  const isRoot = Deno.uid() === 0;
  if (isRoot) Deno.chownSync(folder, NOBODY, NOBODY);
  const server = new Server(folder, { isRoot, settings });
  try {
    await server.create();
    await server.start();
    return server;
  } catch (error) {
    await server.end();
    throw error;
  }
}

class Server implements TemporaryPostgres {
  readonly port = freePorts(1)[0]!;
  readonly #folder: string;
  readonly #isRoot: boolean;
  readonly #settings: readonly string[];
  #process: Deno.ChildProcess | undefined;
  #databases = 0;

  constructor(folder: string, options: { isRoot: boolean; settings: readonly string[] }) {
    this.#folder = folder;
    this.#isRoot = options.isRoot;
    this.#settings = options.settings;
  }

  async create(): Promise<void> {
    const data = `${this.#folder}/data`;
    await this.#output("initdb", ["-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "-N"]);
    const lines = [
      ...["listen_addresses = '127.0.0.1'", `port = ${this.port}`, "max_connections = 200"],
      ...[`unix_socket_directories = '${this.#folder}'`, "fsync = off", ...this.#settings],
    ];
    const text = `${lines.join("\n")}\n`;
    await Deno.writeTextFile(`${data}/postgresql.conf`, text, { append: true });
  }

  async start(): Promise<void> {
    this.#process = this.#command("postgres", ["-D", `${this.#folder}/data`], "null").spawn();
    await poll("the database server", async () => {
      const { success } = await this.#command("pg_isready", this.#where("postgres")).output();
      return success;
    }, { timeoutMs: 30_000 });
  }

  async kill(): Promise<void> {
    const running = this.#process;
    this.#process = undefined;
    try {
      running?.kill("SIGQUIT"); // ends its children at once; nothing is written
    } catch {
      // it has ended
    }
    await running?.status;
  }

  async end(): Promise<void> {
    await this.kill();
    await Deno.remove(this.#folder, { recursive: true });
  }

  async place(node = "a"): Promise<PostgresPlace> {
    const database = `store_${++this.#databases}`;
    await this.run(`CREATE DATABASE ${database}`);
    return {
      ...{ engine: "postgres", hosts: [{ host: "127.0.0.1", port: this.port }], user: USER },
      ...{ database, password: undefined, tls: undefined, node, isReplicated: false },
    };
  }

  async run(sql: string, database = "postgres"): Promise<string> {
    return await this.#output("psql", [...this.#where(database), "-Atqc", sql]);
  }

  #where(database: string): string[] {
    return ["-h", "127.0.0.1", "-p", String(this.port), "-U", USER, "-d", database];
  }

  async #output(program: string, args: readonly string[]): Promise<string> {
    const { success, stdout, stderr } = await this.#command(program, args).output();
    const [out, error] = [stdout, stderr].map((one) => new TextDecoder().decode(one));
    if (!success) throw new Error(`${program} ${args.join(" ")}: ${error}`);
    return out!.trim();
  }

  #command(program: string, args: readonly string[], output: "piped" | "null" = "piped") {
    const path = `${POSTGRES_PROGRAMS}/${program}`;
    const asNobody = ["--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups"];
    const [first, ...rest] = this.#isRoot
      ? ["setpriv", ...asNobody, path, ...args]
      : [path, ...args];
    return new Deno.Command(first!, {
      args: rest,
      cwd: this.#folder,
      ...{ stdin: "null", stdout: output, stderr: output },
    });
  }
}
