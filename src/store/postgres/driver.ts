/** The part of npm's `pg` that is used, with types of our own. */

import pg from "pg";

/** A row, by the names of its columns; int8 is a number, bytea a Uint8Array. */
export type Row = Readonly<Record<string, unknown>>;

/** How a connection is made. */
export interface ClientOptions {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
  readonly password?: string;
  readonly application_name: string;
  readonly connectionTimeoutMillis: number;
  /** False: without TLS. */
  readonly ssl: false | {
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    /** What its certificate has to name: a name, or an address as `host`, which is no servername. */
    readonly servername?: string;
    readonly host?: string;
    readonly rejectUnauthorized: true;
  };
}

/** What the server says without being asked. */
export interface Notice {
  readonly code?: string;
  /** Of the server's source, where it is said. */
  readonly routine?: string;
}

/** One connection to a server. */
export interface Client {
  connect(): Promise<void>;
  query(text: string, values?: readonly unknown[]): Promise<{ readonly rows: readonly Row[] }>;
  end(): Promise<void>;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
  on(event: "notice", listener: (notice: Notice) => void): unknown;
  on(
    event: "notification",
    listener: (message: { readonly channel: string; readonly payload?: string }) => void,
  ): unknown;
}

/** Of the server's types: every number that is kept is a safe one. */
const INT8 = 20;
const BYTEA = 17;

const bytesOf = pg.types.getTypeParser(BYTEA);
const PARSERS: Readonly<Record<number, (text: string) => unknown>> = {
  [INT8]: Number,
  [BYTEA]: (text) => new Uint8Array(bytesOf(text)),
};

/** Breaks a connection off at once: a server that hangs does not end it. */
export function destroy(client: Client): void {
  (client as { connection?: { stream?: { destroy(): void } } }).connection?.stream?.destroy();
}

const TYPES = {
  getTypeParser: (oid: number, format?: "text" | "binary") =>
    format !== "binary" && PARSERS[oid] || pg.types.getTypeParser(oid, format),
};

/** A client that is not connected yet. */
export function newClient(options: ClientOptions): Client {
  return new pg.Client({ ...options, types: TYPES, keepAlive: true });
}
