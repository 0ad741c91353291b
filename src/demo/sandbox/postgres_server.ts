/** A real PostgreSQL as a child process, alone or as a pair of primary and standby. */

import { join } from "node:path";
import { poll } from "../../time/poll.ts";
import { ChildProcess } from "./child_process.ts";

/** Where Debian has its programs, a folder for each version. */
const DEBIAN_FOLDER = "/usr/lib/postgresql";

/** The oldest version that the store works on. */
const OLDEST_VERSION = 15;

/** It refuses to run as root; then it runs as this user. */
const NOBODY = 65_534;

const START_TIMEOUT_MS = 30_000;

/** The role that owns everything, and needs no password from this machine. */
export const POSTGRES_USER = "gateway";

/** The folder of its programs; undefined if they are not installed. */
export function findPostgres(): string | undefined {
  try {
    const versions = [...Deno.readDirSync(DEBIAN_FOLDER)].map(({ name }) => Number(name));
    const newest = versions.filter((one) => one >= OLDEST_VERSION).toSorted((a, b) => b - a)[0];
    return newest === undefined ? undefined : join(DEBIAN_FOLDER, String(newest), "bin");
  } catch {
    return undefined;
  }
}

/** How a server is made. */
interface ServerOptions {
  /** A folder that does not exist yet. */
  readonly folder: string;
  readonly port: number;
  /** Lines for its configuration. */
  readonly settings?: readonly string[];
}

/** One server, which listens on loopback. */
export class PostgresServer {
  readonly port: number;
  readonly #folder: string;
  readonly #settings: readonly string[];
  #process: ChildProcess | undefined;

  private constructor({ folder, port, settings = [] }: ServerOptions) {
    this.port = port;
    this.#folder = folder;
    this.#settings = settings;
  }

  /** Makes an empty server, and starts it. */
  static async create(options: ServerOptions): Promise<PostgresServer> {
    const server = new PostgresServer(options);
    await server.#make();
    await server.#run("initdb", ["-D", server.#data, "-U", POSTGRES_USER, "-A", "trust", "-N"]);
    await server.#configure();
    await server.start();
    return server;
  }

  /** Makes a copy of a primary that follows it under a name, and starts it. */
  static async follow(
    primary: PostgresServer,
    { name, ...options }: ServerOptions & { readonly name: string },
  ): Promise<PostgresServer> {
    const standby = new PostgresServer(options);
    await standby.#make();
    const from = ["-h", "127.0.0.1", "-p", String(primary.port), "-U", POSTGRES_USER];
    await standby.#run("pg_basebackup", [
      "-D",
      standby.#data,
      "-c",
      "fast",
      "-X",
      "stream",
      ...from,
    ]);
    await standby.#configure([
      `primary_conninfo = 'host=127.0.0.1 port=${primary.port} user=${POSTGRES_USER} ` +
      `application_name=${name}'`,
    ]);
    await Deno.writeTextFile(join(standby.#data, "standby.signal"), "");
    await standby.start();
    return standby;
  }

  /** Starts it; resolves when it answers. */
  async start(): Promise<void> {
    const child = new ChildProcess(this.#command("postgres", ["-D", this.#data]));
    this.#process = child;
    await poll("PostgreSQL", async () => {
      if (!child.running) throw new Error(`PostgreSQL ended at once:\n${child.stderr.trim()}`);
      const where = ["-h", "127.0.0.1", "-p", String(this.port)];
      return await this.#run("pg_isready", where).then(() => true, () => false);
    }, { timeoutMs: START_TIMEOUT_MS });
  }

  /** Statements by its owner; resolves to what they print. */
  async sql(text: string, database = "postgres"): Promise<string> {
    const where = ["-h", "127.0.0.1", "-p", String(this.port), "-U", POSTGRES_USER, "-d", database];
    return (await this.#run("psql", [...where, "-Atqc", text])).trim();
  }

  /** Makes an empty database. */
  async createDatabase(name: string): Promise<void> {
    const where = ["-h", "127.0.0.1", "-p", String(this.port), "-U", POSTGRES_USER];
    await this.#run("createdb", [...where, "-E", "UTF8", "-T", "template0", name]);
  }

  /** Makes a standby the primary. */
  async promote(): Promise<void> {
    await this.#run("pg_ctl", ["promote", "-D", this.#data, "-w"]);
  }

  /** Ends it in the middle of whatever it does; its children end when they see that. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined) return;
    child.kill("SIGKILL");
    await child.exited;
  }

  /** The process that all others are children of. */
  get pid(): number {
    return this.#process!.pid;
  }

  get #data(): string {
    return join(this.#folder, "data");
  }

  async #make(): Promise<void> {
    await Deno.mkdir(this.#folder, { mode: 0o700 });
    if (isRoot()) await Deno.chown(this.#folder, NOBODY, NOBODY);
  }

  async #configure(more: readonly string[] = []): Promise<void> {
    const lines = [
      ...["listen_addresses = '127.0.0.1'", `port = ${this.port}`, "max_connections = 100"],
      ...[`unix_socket_directories = '${this.#folder}'`, "shared_buffers = 32MB"],
      ...this.#settings,
      ...more,
    ];
    const file = join(this.#data, "postgresql.conf");
    await Deno.writeTextFile(file, `${lines.join("\n")}\n`, { append: true });
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    return await ChildProcess.run(this.#command(program, args));
  }

  /** Not from our folder, which its user may not enter. */
  #command(program: string, args: readonly string[]) {
    const folder = findPostgres();
    if (folder === undefined) throw new Error("PostgreSQL is not installed");
    const path = join(folder, program);
    const environment = { LC_ALL: "C.UTF-8", PGCONNECT_TIMEOUT: "5" };
    if (!isRoot()) return { path, args, environment };
    const asNobody = ["--reuid", String(NOBODY), "--regid", String(NOBODY), "--clear-groups"];
    return { path: "/usr/bin/setpriv", args: [...asNobody, path, ...args], environment };
  }
}

function isRoot(): boolean {
  return Deno.uid() === 0;
}
