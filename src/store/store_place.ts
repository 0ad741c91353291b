/** Where a store is, and as whom it is opened. */

import type { Config, SealingKeyPlaces } from "../config/config.ts";
import { serverName } from "../config/server_name.ts";
import { readStoreCredentials, type StoreCredentials } from "../config/credentials.ts";

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

/** Where no other machine listens in. */
const LOOPBACK: ReadonlySet<string> = new Set(["127.0.0.1", "::1", "localhost"]);

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
  /** True: nothing is taken in unless a second server has it. */
  readonly isReplicated: boolean;
  /** Which of the gateways that share the store this one is. */
  readonly node: string;
  /** Where the keys are that open sealed secrets; without them, sealed ones stay shut. */
  readonly sealingKey?: SealingKeyPlaces;
}

/** The place that a configuration names, and who the gateway is there. */
export function storePlaceOf(
  { store, node }: Config,
  credentials: StoreCredentials | undefined,
): StorePlace {
  const { database, synchronous, sealingKey, server } = store;
  if (server === undefined) return { database, synchronous, sealingKey };
  const { ca, pair, password } = credentials ?? {};
  const isHere = server.hosts.every(({ host }) => LOOPBACK.has(host));
  const tls = { ca, certificate: pair?.certificate, key: pair?.key };
  return {
    engine: "postgres",
    ...{ hosts: server.hosts, user: server.user, database: server.database, password, sealingKey },
    tls: isHere && ca === undefined ? undefined : tls,
    node: node.name,
    isReplicated: server.isReplicated,
  };
}

/** The same, with the files read that it names; throws a `StartError`. */
export function storePlaceIn(config: Config): StorePlace {
  return storePlaceOf(config, readStoreCredentials(config.store));
}

/** The place as it may be shown. */
export function placeName(place: StorePlace): string {
  if (place.engine !== "postgres") return `"${place.database}"`;
  return serverName(place);
}
