/** A PostgreSQL primary and the standby that has everything before it is committed. */

import { join } from "node:path";
import { POSTGRES_USER, PostgresServer } from "./postgres_server.ts";

/** Nothing is committed that the standby has not got; one that is promoted waits for another one. */
const REPLICATED = ["synchronous_standby_names = 'standby'"];

const DATABASE = "gateway";

/** The pair; the ports are where a server is, or was. */
export class PostgresPair {
  readonly #folder: string;
  readonly #ports: readonly [number, number];
  readonly #settings: readonly string[];
  #primary: PostgresServer;
  #standby: PostgresServer | undefined;
  #servers = 1;

  private constructor(
    primary: PostgresServer,
    options: {
      readonly folder: string;
      readonly ports: readonly [number, number];
      readonly settings: readonly string[];
    },
  ) {
    this.#primary = primary;
    this.#folder = options.folder;
    this.#ports = options.ports;
    this.#settings = options.settings;
  }

  /** Makes a pair with an empty database, in an existing folder. */
  static async create(options: {
    readonly folder: string;
    readonly ports: readonly [number, number];
    /** Lines for the configuration of both. */
    readonly settings?: readonly string[];
  }): Promise<PostgresPair> {
    const { folder, ports, settings = [] } = options;
    const primary = await PostgresServer.create({
      ...{
        folder: join(folder, "server-1"),
        port: ports[0],
        settings: [...settings, ...REPLICATED],
      },
    });
    const pair = new PostgresPair(primary, { folder, ports, settings });
    try {
      await pair.addStandby();
      await primary.createDatabase(DATABASE);
      return pair;
    } catch (error) {
      await pair.end();
      throw error;
    }
  }

  /** Where the store is, whichever of the two is the primary; see the setting `store.url`. */
  get url(): string {
    return this.urlBy(this.#ports);
  }

  /** The same by other ports that lead to those of `ports`. */
  urlBy(ports: readonly number[]): string {
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join();
    return `postgres://${POSTGRES_USER}@${hosts}/${DATABASE}`;
  }

  get ports(): readonly number[] {
    return this.#ports;
  }

  get primary(): PostgresServer {
    return this.#primary;
  }

  /** Undefined between the promotion of one and `addStandby`. */
  get standby(): PostgresServer | undefined {
    return this.#standby;
  }

  /** Makes a new standby, where there is none; it listens where the former primary did. */
  async addStandby(): Promise<void> {
    const port = this.#ports.find((one) => one !== this.#primary.port)!;
    this.#standby = await PostgresServer.follow(this.#primary, {
      ...{ folder: join(this.#folder, `server-${++this.#servers}`), port, name: "standby" },
      settings: [...this.#settings, ...REPLICATED],
    });
  }

  /** Ends the primary as kill -9 does, and makes the standby the primary. */
  async failOver(): Promise<void> {
    await this.#primary.kill();
    await this.promote();
  }

  /** Makes the standby the primary, whatever the former one is doing; resolves to that one. */
  async promote(): Promise<PostgresServer> {
    const former = this.#primary;
    this.#primary = this.#standby!;
    this.#standby = undefined;
    await this.#primary.promote();
    return former;
  }

  /** Ends both. */
  async end(): Promise<void> {
    await this.#primary.kill();
    await this.#standby?.kill();
  }
}
