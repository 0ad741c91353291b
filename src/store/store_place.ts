/** Where a store is, and as whom it is opened. */

import type { SealingKeyPlaces } from "../config/config.ts";

/** Where a store is; `config.store` is one. */
export type StorePlace = SqlitePlace | PostgresPlace;

/** A store in a file of this machine. */
export interface SqlitePlace {
  readonly engine?: "sqlite";
  /** Path of the file. */
  readonly database: string;
  /** FULL if it is not given. */
  readonly synchronous?: "FULL" | "NORMAL";
  /** Where the keys are that open sealed secrets; without them, sealed ones stay shut. */
  readonly sealingKey?: SealingKeyPlaces;
}

/** One of the servers; at any time, one of them is the primary. */
export interface ServerHost {
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** What TLS to the servers is made of, in PEM; without an authority, the machine's own ones count. */
interface StoreTls {
  readonly ca: string | undefined;
  readonly certificate: string | undefined;
  readonly key: string | undefined;
}

/** A store that gateways on several machines may share. */
export interface PostgresPlace {
  readonly engine: "postgres";
  readonly hosts: readonly ServerHost[];
  readonly user: string;
  readonly database: string;
  readonly password: string | undefined;
  /** Undefined: without TLS, to this machine only. */
  readonly tls: StoreTls | undefined;
  /** Which of the gateways that share the store this one is. */
  readonly node: string;
  /** Where the keys are that open sealed secrets; without them, sealed ones stay shut. */
  readonly sealingKey?: SealingKeyPlaces;
}

/** The place as it may be shown. */
export function placeName({ hosts, database }: PostgresPlace): string {
  const names = hosts.map(({ host, port }) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
  return `postgres://${names.join()}/${database}`;
}
