/**
 * One connection to the store, for one purpose.
 *
 * The rules are:
 * - it is made when it is first used, and again after it broke; one attempt at a time;
 * - what is asked takes its turn: a transaction is not mixed with anything else;
 * - where only one may have its purpose, connecting ends what an earlier one has left at the
 *   server: a commit that hangs there would otherwise hold its locks and its place;
 * - a statement whose answer is lost is not sent again here: only the caller knows what that means.
 */

import { StoreError } from "../store_error.ts";
import { type Client, type Notice, type Row } from "./driver.ts";
import { placeName, type PostgresPlace } from "../store_place.ts";
import { close, connectToPrimary } from "./primary.ts";

/** Where all tables are. */
export const SCHEMA_NAME = "secure_iot_gateway";

/** The connection broke: nobody knows whether what was asked last was done. */
export class ConnectionLostError extends StoreError {
  override readonly name: string = "ConnectionLostError";
}

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
  readonly onNotice?: (notice: Notice) => void;
}

/** The connection. */
export class Connection {
  readonly #place: PostgresPlace;
  readonly #options: ConnectionOptions;
  #client: Promise<Client> | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #timeline = 0;
  #isClosed = false;

  constructor(place: PostgresPlace, options: ConnectionOptions) {
    this.#place = place;
    this.#options = options;
  }

  /** The place as it may be shown. */
  get name(): string {
    return placeName(this.#place);
  }

  /** The highest timeline that was seen; 0 before the first connection. */
  get timeline(): number {
    return this.#timeline;
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
    try {
      return (await client.query(text, values)).rows;
    } catch (error) {
      throw this.#errorOf(error as Error);
    }
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
    const { author, purpose, isSingle, onNotice } = this.#options;
    const name = `secure-iot-gateway ${purpose}`.slice(0, 63);
    const { client, timeline } = await connectToPrimary(this.#place, {
      applicationName: name,
      seenTimeline: this.#timeline,
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
    if (onNotice) client.on("notice", onNotice);
    this.#timeline = timeline;
    return client;
  }
}

/** The SQLSTATE behind an error of a store; undefined if it is none. */
export function sqlState(error: unknown): string | undefined {
  const cause = error instanceof StoreError ? error.cause : undefined;
  return (cause as { code?: string } | undefined)?.code;
}
