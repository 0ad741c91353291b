/**
 * One connection to the store, for one purpose.
 *
 * The rules are:
 * - it is made when it is first used, and again after it broke; one attempt at a time;
 * - what is asked takes its turn: a transaction is not mixed with anything else;
 * - where only one may have its purpose, connecting ends what an earlier one has left at the
 *   server: a commit that hangs there would otherwise hold its locks and its place;
 * - a server that does not answer may not be the primary any longer: the others are asked, and if one
 *   of them is, this connection is broken off; if none is, it is waited for;
 * - a server that says it did not wait for a second one has not kept what it was told to keep;
 * - what a former primary answers does not count, once any connection of the same store knows better;
 * - a statement whose answer is lost is not sent again here: only the caller knows what that means.
 */

import { StoreError } from "../store_error.ts";
import { type Client, destroy, type Notice, type Row } from "./driver.ts";
import { placeName, type PostgresPlace } from "../store_place.ts";
import { close, connectToPrimary, hasNewerPrimary } from "./primary.ts";

/** Where all tables are. */
export const SCHEMA_NAME = "secure_iot_gateway";

/** The connection broke: nobody knows whether what was asked last was done. */
export class ConnectionLostError extends StoreError {
  override readonly name: string = "ConnectionLostError";
}

/** After so long without an answer the other servers are asked, milliseconds. */
const PROBE_AFTER_MS = 3_000;

/** Asks the server; inside a transaction if one runs. */
export type Query = (text: string, values?: readonly unknown[]) => Promise<readonly Row[]>;

/** How a connection is used. */
interface ConnectionOptions {
  /** Stands in the server's list of connections. */
  readonly purpose: string;
  /** True: there is only one of this purpose, and a new one ends it. */
  readonly isSingle?: boolean;
  /** Who makes changes, for the audit. */
  readonly author: string;
  /** What the store's other connections know too. */
  readonly seen?: SeenTimeline;
}

/** The highest timeline that was seen; 0 before the first connection. */
interface SeenTimeline {
  timeline: number;
}

/** The connection. */
export class Connection {
  readonly #place: PostgresPlace;
  readonly #options: ConnectionOptions;
  #client: Promise<Client> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  /** Of the server that it is connected to. */
  #timeline = 0;
  readonly #seen: SeenTimeline;
  #isClosed = false;
  /** True: the server did not wait for a second one. */
  #isUnreplicated = false;

  constructor(place: PostgresPlace, options: ConnectionOptions) {
    this.#place = place;
    this.#options = options;
    this.#seen = options.seen ?? { timeline: 0 };
  }

  /** The place as it may be shown. */
  get name(): string {
    return placeName(this.#place);
  }

  /** The highest timeline that was seen; 0 before the first connection. */
  get timeline(): number {
    return this.#seen.timeline;
  }

  /** One statement, in a transaction of its own. */
  query(text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    return this.#inTurn((query) => query(text, values));
  }

  /** `work` in one transaction: all of it, or nothing if it rejects. */
  transaction<T>(work: (query: Query) => Promise<T>): Promise<T> {
    return this.#inTurn(async (query) => {
      await query("BEGIN");
      try {
        const result = await work(query);
        await query("COMMIT");
        return result;
      } catch (error) {
        await query("ROLLBACK").catch(() => {});
        throw error;
      }
    });
  }

  /** Ends it; what is under way is waited for. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    const client = await this.#client?.catch(() => undefined);
    if (client) await close(client);
  }

  #inTurn<T>(work: (query: Query) => Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      const client = await this.#connected();
      return await work((text, values) => this.#ask(client, text, values));
    });
    this.#last = result.catch(() => {});
    return result;
  }

  async #ask(client: Client, text: string, values?: readonly unknown[]): Promise<readonly Row[]> {
    const probe = setInterval(() => this.#probe(client), PROBE_AFTER_MS);
    let rows: readonly Row[];
    try {
      ({ rows } = await client.query(text, values));
    } catch (error) {
      throw this.#errorOf(error as Error);
    } finally {
      clearInterval(probe);
    }
    if (this.#timeline < this.#seen.timeline) {
      this.#drop();
      throw new ConnectionLostError(`Cannot use ${this.name}: a former primary has answered`);
    }
    if (!this.#isUnreplicated) return rows;
    this.#isUnreplicated = false;
    throw new ConnectionLostError(`Cannot use ${this.name}: no second server has what it wrote`);
  }

  async #probe(client: Client): Promise<void> {
    if (await hasNewerPrimary(this.#place, this.#timeline)) destroy(client);
  }

  /** A server's error has a code of five characters; one that ends the connection is a loss of it. */
  #errorOf(error: Error): Error {
    const { code, severity } = error as { code?: string; severity?: string };
    const isOfServer = code !== undefined && /^[0-9A-Z]{5}$/.test(code) && severity !== undefined;
    const text = `Cannot use ${this.name}: ${error.message}`;
    if (!isOfServer || severity === "FATAL" || severity === "PANIC") {
      this.#drop();
      return new ConnectionLostError(text, { cause: error });
    }
    return new StoreError(text, { cause: error });
  }

  #drop(): void {
    const client = this.#client;
    this.#client = undefined;
    client?.then(close, () => {});
  }

  #connected(): Promise<Client> {
    if (this.#isClosed) throw new StoreError(`Cannot use ${this.name}: it was closed`);
    return this.#client ??= this.#begin();
  }

  #begin(): Promise<Client> {
    const client = this.#connect();
    const forget = () => {
      if (this.#client === client) this.#client = undefined;
    };
    client.then((connected) => connected.on("end", forget), forget);
    return client;
  }

  async #connect(): Promise<Client> {
    const { author, purpose, isSingle } = this.#options;
    const name = `secure-iot-gateway ${purpose}`.slice(0, 63);
    const { client, timeline } = await connectToPrimary(this.#place, {
      applicationName: name,
      seenTimeline: this.#seen.timeline,
    });
    try {
      if (isSingle) {
        await client.query(
          `SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
           WHERE application_name = $1 AND pid <> pg_backend_pid() AND usename = current_user
             AND datname = current_database()`,
          [name],
        );
      }
      await client.query(
        `SELECT set_config('search_path', '${SCHEMA_NAME}', false),
           set_config('secure_iot_gateway.author', $1, false)`,
        [author],
      );
    } catch (error) {
      await close(client);
      throw this.#errorOf(error as Error);
    }
    client.on("notice", (notice) => {
      if (isUnreplicated(notice)) this.#isUnreplicated = true;
    });
    this.#timeline = this.#seen.timeline = timeline;
    return client;
  }
}

/** A commit that was not waited for: a warning without a code of its own, in whatever language. */
function isUnreplicated({ code, routine }: Notice): boolean {
  return code === "01000" && routine === "SyncRepWaitForLSN";
}

/** The SQLSTATE behind an error of a store; undefined if it is none. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof StoreError ? error.cause : undefined;
  return (cause as { code?: string } | undefined)?.code;
}
