/**
 * Every setting there is: its name, its default, what it may be, and what it does.
 *
 * The rules are:
 * - a setting exists here or not at all; gateway.toml, the environment and the table in
 *   docs/operator/settings.md are made from this file (`deno task docs`);
 * - a relative path starts in the site folder; a duration is a number and a unit: `500ms`, `10s`,
 *   `5m`, `24h`, `7d`, or `0s`.
 */

import { RECEIPT_MODES } from "../core/receipt.ts";
import { RETRY_STATUSES } from "../core/retry_statuses.ts";
import {
  backendPath,
  backendUrl,
  batchPath,
  boolean,
  callbackPath,
  clientId,
  duration,
  hostName,
  integer,
  nodeName,
  number,
  oneOf,
  path,
  pathOrNone,
  port,
  proxyUrl,
  type SettingType,
  statusList,
  storeUrl,
} from "./setting_types.ts";

/** One setting. */
export interface Setting<T = string | number | boolean> extends SettingType<T> {
  /** Undefined if there is no default and a value must be given. */
  readonly defaultValue: T | undefined;
  readonly purpose: string;
}

function setting<T>(
  kind: SettingType<T>,
  defaultValue: T | undefined,
  purpose: string,
): Setting<T> {
  return { ...kind, defaultValue, purpose };
}

/** Every setting, section by section, in the order of gateway.toml. */
export const SETTINGS = {
  broker: {
    host: setting(hostName(), "127.0.0.1", "Address on which Mosquitto listens for the gateway"),
    port: setting(port(), 8884, "Its port there"),
    client_id: setting(
      clientId(),
      undefined,
      "The gateway's MQTT client id; long and random, never change it",
    ),
    keepalive: setting(
      duration("5s", "300s"),
      "30s",
      "Longest time without a packet on the connection",
    ),
    ca: setting(path(), "certs/gateway-ca.crt", "Authority that signed the broker's certificate"),
    certificate: setting(path(), "certs/gateway.crt", "The gateway's certificate"),
    key: setting(path(), "certs/gateway.key", "The gateway's private key"),
  },
  backend: {
    url: setting(
      backendUrl(),
      "http://127.0.0.1:5000",
      "Base URL of the backend; it may have a path and a query",
    ),
    path: setting(
      backendPath(),
      "/device/{device_id}/data",
      "Appended to the URL for each reading; may have {message_id} and a query",
    ),
    ca: setting(
      pathOrNone(),
      "",
      "Authority of an https backend; empty: use the system's authorities",
    ),
    headers_file: setting(
      pathOrNone(),
      "",
      "File of header fields `Name: value` for each request, such as Authorization; mode 0600",
    ),
    certificate: setting(pathOrNone(), "", "The gateway's client certificate for the backend"),
    key: setting(pathOrNone(), "", "Its private key"),
    signing_key_file: setting(
      pathOrNone(),
      "",
      "File with one or two keys whsec_… that sign each request (Standard Webhooks); mode 0600",
    ),
    proxy: setting(proxyUrl(), "", "HTTP proxy to the backend, http://host:port"),
    traceparent: setting(
      boolean(),
      false,
      "Send each message_id as the trace id of a W3C traceparent; the backend's traces then have it",
    ),
    timeout: setting(duration("100ms", "10m"), "10s", "Longest wait for one answer"),
    concurrency: setting(integer(1, 1000), 256, "Most requests at the same time, one per device"),
    batch_max: setting(
      integer(1, 500),
      1,
      "Most readings in one request; 1: each goes in a POST of its own",
    ),
    batch_bytes: setting(
      integer(1024, 4 * 1024 * 1024),
      262_144,
      "Most bytes of a batch; a single reading may have more",
    ),
    batch_path: setting(batchPath(), "/batch", "Appended to the URL for a batch"),
    retry_first: setting(duration("10ms", "1h"), "500ms", "Wait before the second try"),
    retry_longest: setting(
      duration("10ms", "24h"),
      "30s",
      "Waits double up to this; Retry-After may ask for up to 1h",
    ),
    retry_statuses: setting(
      statusList(),
      RETRY_STATUSES,
      "Answers after which a reading is sent again; every other but 2xx makes a dead letter",
    ),
    give_up_after: setting(
      duration("1s", "365d"),
      "24h",
      "An entry older than this becomes a dead letter when its next try fails",
    ),
  },
  commands: {
    callback: setting(
      callbackPath(),
      "",
      "Appended to backend.url for the POST of each new state of a command, such as " +
        '"/device/{device_id}/command/{message_id}"; empty: no callbacks',
    ),
    ttl_longest: setting(duration("5s", "365d"), "7d", "Longest TTL that a request may ask for"),
    wait_longest: setting(
      duration("0s", "10m"),
      "60s",
      "Longest time that Prefer: wait may hold an answer",
    ),
    resend: setting(
      duration("5s", "24h"),
      "300s",
      "When a device that acknowledges gets another copy of a command it has not acknowledged",
    ),
    max_waiting: setting(
      integer(1, 1_000_000),
      10_000,
      "Most commands that may wait for their devices",
    ),
    max_waiting_per_device: setting(integer(1, 100_000), 100, "The same for one device"),
    keep: setting(duration("1h", "3650d"), "30d", "How long commands that have ended are kept"),
    keep_keys: setting(
      duration("1m", "365d"),
      "24h",
      "How long an Idempotency-Key brings the same answer",
    ),
  },
  receipts: {
    send: setting(
      oneOf(RECEIPT_MODES),
      "rejected",
      "What devices are told, signed: off, rejected: why a message was refused, all: also what the " +
        "backend did",
    ),
    per_device_per_second: setting(
      number(0.001, 1000),
      1,
      "Receipts of refused messages per second for one device, after the first 5",
    ),
    unverified_every: setting(
      duration("0s", "24h"),
      "10s",
      "Wait between two for one device and the same malformed, identity_mismatch or " +
        "invalid_signature",
    ),
    queue: setting(
      integer(1, 10_000),
      256,
      "Most receipts of refused messages on their way; more are dropped and counted",
    ),
  },
  devices: {
    host: setting(
      hostName(),
      "localhost",
      "Host name of Mosquitto for devices; written into their folders",
    ),
    port: setting(port(), 8883, "Its port there"),
    authority: setting(
      path(),
      "certs/device-ca.crt",
      "Authority of the devices; the gateway warns before it expires",
    ),
    revocation_list: setting(
      path(),
      "certs/device-ca.crl",
      "Its revocation list; the gateway warns before it expires",
    ),
  },
  api: {
    host: setting(hostName(), "0.0.0.0", "Address on which the API listens"),
    port: setting(port(), 8443, "Its port"),
    certificate: setting(path(), "certs/broker.crt", "The API's certificate"),
    key: setting(path(), "certs/broker.key", "The API's private key"),
    key_file: setting(path(), "api.key", "The operator's copy of an API key, for `command`"),
  },
  checks: {
    tolerance: setting(
      duration("1s", "1h"),
      "300s",
      "How far a timestamp may be from now, either way",
    ),
    outage_grace: setting(
      duration("0s", "30d"),
      "24h",
      "Longest outage of the gateway after which messages sent meanwhile are accepted; 0s: none",
    ),
    remember: setting(
      duration("0s", "365d"),
      "0s",
      "How long message ids are remembered at least, so that a reading that is signed again is " +
        "known; 0s: as long as its message could be in range",
    ),
    rate_limit_per_second: setting(
      number(0, 1_000_000),
      0,
      "Messages per second that one device may send; 0: no limit",
    ),
    rate_limit_burst: setting(
      integer(1, 1_000_000),
      10,
      "Messages that a device may send at once, if there is a rate limit",
    ),
  },
  store: {
    engine: setting(
      oneOf(["sqlite", "postgres"]),
      "sqlite",
      "sqlite: a file, for one gateway; postgres: a server, which several gateways may share",
    ),
    database: setting(path(), "data/gateway.db", "The SQLite file"),
    synchronous: setting(
      oneOf(["FULL", "NORMAL"]),
      "FULL",
      "FULL: safe against power loss; NORMAL: only against a crash of the gateway",
    ),
    sealing_key: setting(
      path(),
      "secrets.key",
      "The key for the secrets of a sealed site; a systemd credential is used first",
    ),
    max_pending: setting(
      integer(1, 10_000_000),
      100_000,
      "Most entries that may wait for the backend; intake pauses at that number",
    ),
    url: setting(
      storeUrl(),
      "",
      "The PostgreSQL servers, postgres://user@host1,host2:5432/database; the primary is found",
    ),
    ca: setting(pathOrNone(), "", "Their authority; empty: use the system's authorities"),
    certificate: setting(pathOrNone(), "", "The gateway's client certificate for them"),
    key: setting(pathOrNone(), "", "Its private key"),
    password_file: setting(pathOrNone(), "", "File with the password for them; mode 0600"),
    durability: setting(
      oneOf(["replicated", "local"]),
      "replicated",
      "replicated: nothing is taken in unless a second server has it; local: one server is enough",
    ),
  },
  node: {
    name: setting(nodeName(), "", "This gateway's name among those that share a store"),
    lease: setting(
      duration("2s", "5m"),
      "10s",
      "A gateway that is not heard of for so long is taken for dead, and others send what it left",
    ),
  },
  dead_letters: {
    max_count: setting(
      integer(0, 10_000_000),
      10_000,
      "Most dead letters that are kept; the oldest are dropped first",
    ),
    max_age: setting(duration("0s", "3650d"), "90d", "How long they are kept"),
  },
  audit: {
    max_count: setting(
      integer(100, 100_000_000),
      200_000,
      "Most entries that are kept; beyond that, the oldest tenth is deleted",
    ),
    max_age: setting(duration("1d", "3650d"), "365d", "How long they are kept"),
  },
  log: {
    level: setting(
      oneOf(["debug", "info", "warning", "error"]),
      "info",
      "Lowest level that is written",
    ),
    format: setting(
      oneOf(["auto", "json", "text"]),
      "auto",
      "auto: text on a terminal, else JSON, one object a line",
    ),
    accepted: setting(boolean(), false, "Also write a line for each accepted message"),
  },
};

type Sections = typeof SETTINGS;
type ValueOf<S> = S extends Setting<infer T> ? T : never;

/** Settings as written in gateway.toml, with defaults filled in. */
export type Settings = {
  readonly [S in keyof Sections]: { readonly [K in keyof Sections[S]]: ValueOf<Sections[S][K]> };
};

/** One setting in a list of all of them. */
export interface ListedSetting extends Pick<Setting, "defaultValue" | "purpose"> {
  readonly section: keyof Settings;
  readonly key: string;
}

/** Every setting in the order of this file. */
export function listSettings(): ListedSetting[] {
  return Object.entries(SETTINGS).flatMap(([section, settings]) =>
    Object.entries(settings).map(([key, { defaultValue, purpose }]) => ({
      section: section as keyof Settings,
      key,
      defaultValue,
      purpose,
    }))
  );
}

/** The environment variable that overrides a setting: `SECURE_IOT_GATEWAY_BACKEND_URL`. */
export function environmentName(section: string, key: string): string {
  return `SECURE_IOT_GATEWAY_${section}_${key}`.toUpperCase();
}
