/**
 * Which of the servers is the primary.
 *
 * The rules are:
 * - all servers are asked at once, and the primary with the highest timeline is taken: a former
 *   primary that comes back does not know that another was promoted, and still takes connections;
 * - a timeline lower than one that was seen before is refused.
 */

import { isIP } from "node:net";
import { StoreError } from "../store_error.ts";
import { type Client, type ClientOptions, newClient, type Row } from "./driver.ts";
import type { ServerRole } from "../server_facts.ts";
import { placeName, type PostgresPlace, type ServerHost } from "../store_place.ts";

/** How long a server may take to answer, milliseconds. */
const CONNECT_TIMEOUT_MS = 5_000;

/** A primary's timeline, which any role may ask for; a standby has none of its own. */
const ASK = `SELECT pg_is_in_recovery() AS standby, CASE WHEN pg_is_in_recovery() THEN NULL
  ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint END AS timeline`;

/** A connection to a primary. */
interface Primary {
  readonly client: Client;
  readonly timeline: number;
}

/** Connects to the primary; `seenTimeline` is the highest that was seen. Rejects with a `StoreError`. */
export async function connectToPrimary(
  place: PostgresPlace,
  { applicationName, seenTimeline }: {
    readonly applicationName: string;
    readonly seenTimeline: number;
  },
): Promise<Primary> {
  const answers = await Promise.allSettled(
    place.hosts.map((host) => ask(place, host, applicationName)),
  );
  const primaries = answers.flatMap((one) => one.status === "fulfilled" ? one.value ?? [] : []);
  const newest = primaries.toSorted((one, other) => other.timeline - one.timeline)[0];
  const chosen = newest && newest.timeline >= seenTimeline ? newest : undefined;
  for (const { client } of primaries) if (client !== chosen?.client) await close(client);
  if (chosen) return chosen;
  throw new StoreError(`Cannot use ${placeName(place)}: ${reasonOf(place.hosts, answers)}`);
}

/** What each of the servers is, in their order. */
export async function serverRoles(place: PostgresPlace): Promise<ServerRole[]> {
  const answers = await Promise.allSettled(
    place.hosts.map((host) => ask(place, host, "secure-iot-gateway roles")),
  );
  const timelines = answers.map((one) => one.status === "fulfilled" ? one.value?.timeline : 0);
  for (const one of answers) {
    if (one.status === "fulfilled" && one.value) await close(one.value.client);
  }
  const newest = Math.max(0, ...timelines.map((timeline) => timeline ?? 0));
  return answers.map((one, i) => {
    if (one.status === "rejected") return "unreachable";
    if (one.value === undefined) return "standby";
    return timelines[i] === newest ? "primary" : "former_primary";
  });
}

/** True if another server is the primary by now, and has gone further than `timeline`. */
export async function hasNewerPrimary(place: PostgresPlace, timeline: number): Promise<boolean> {
  const primary = await connectToPrimary(place, {
    applicationName: "secure-iot-gateway probe",
    seenTimeline: timeline + 1,
  }).catch(() => undefined);
  if (primary) await close(primary.client);
  return primary !== undefined;
}

/** Undefined if the server is a standby. */
async function ask(
  place: PostgresPlace,
  host: ServerHost,
  applicationName: string,
): Promise<Primary | undefined> {
  const client = newClient(optionsOf(place, host, applicationName));
  client.on("error", () => {}); // a question that is under way hears of it
  try {
    await client.connect();
    const { rows: [row] } = await client.query(ASK);
    const { standby, timeline } = row as Row;
    if (standby !== true) return { client, timeline: timeline as number };
  } catch (error) {
    await close(client);
    throw error;
  }
  await close(client);
  return undefined;
}

function optionsOf(
  { user, database, password, tls }: PostgresPlace,
  { host, port }: ServerHost,
  applicationName: string,
): ClientOptions {
  return {
    ...{ host, port, user, database, application_name: applicationName },
    ...(password !== undefined && { password }),
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    ssl: tls === undefined ? false : {
      ...(tls.ca !== undefined && { ca: tls.ca }),
      ...(tls.certificate !== undefined && { cert: tls.certificate }),
      ...(tls.key !== undefined && { key: tls.key }),
      ...(isIP(host) === 0 ? { servername: host } : { host }), // the name that its certificate has
      rejectUnauthorized: true,
    },
  };
}

/** Ends a connection, whatever state it is in. */
export async function close(client: Client): Promise<void> {
  await client.end().catch(() => {});
}

function reasonOf(
  hosts: readonly ServerHost[],
  answers: readonly PromiseSettledResult<Primary | undefined>[],
): string {
  const reasons = answers.map((answer, i) => {
    const { host, port } = hosts[i]!;
    const name = hosts.length === 1 ? "" : `${host}:${port}: `;
    if (answer.status === "rejected") return name + describe(answer.reason);
    return `${name}${answer.value ? "it is a former primary" : "it is a standby"}`;
  });
  return reasons.join("; ");
}

function describe(reason: unknown): string {
  const { message = "", code = "" } = reason as { message?: string; code?: string };
  return message || code || "it does not answer";
}
