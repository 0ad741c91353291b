/** Turns gateway.toml and the environment into one readonly `Config`, or lists all faults at once. */

import { resolve } from "node:path";
import type { BatchLimits } from "../core/delivery_batch.ts";
import { type ReceiptMode, RECEIPTS_BURST } from "../core/receipt.ts";
import { statusesOf } from "../core/retry_statuses.ts";
import type { Rate } from "../core/token_bucket.ts";
import { durationMs, readStoreUrl } from "./setting_types.ts";
import type { Settings } from "./settings.ts";
import { readSettings } from "./settings_table.ts";

/** The configuration of a running gateway: absolute paths, milliseconds, seconds. */
export interface Config {
  readonly broker: {
    readonly host: string;
    readonly port: number;
    readonly clientId: string;
    readonly keepaliveSeconds: number;
    readonly ca: string;
    readonly certificate: string;
    readonly key: string;
  };
  readonly backend: {
    readonly url: string;
    readonly path: string;
    /** A path; undefined: use the system's authorities. */
    readonly ca: string | undefined;
    /** Paths and a URL; undefined: there is none. */
    readonly headersFile: string | undefined;
    readonly pair: { readonly certificate: string; readonly key: string } | undefined;
    readonly signingKeyFile: string | undefined;
    readonly proxy: string | undefined;
    /** Each message's own `traceparent` goes with it. */
    readonly hasTraceparent: boolean;
    readonly timeoutMs: number;
    readonly concurrency: number;
    /** Undefined: each reading goes in a POST of its own. */
    readonly batch: (BatchLimits & { readonly path: string }) | undefined;
    readonly retryFirstMs: number;
    readonly retryLongestMs: number;
    readonly giveUpAfterMs: number;
    readonly retryStatuses: ReadonlySet<number>;
  };
  readonly commands: {
    /** Appended to the backend's URL; undefined: it is told of no state. */
    readonly callbackPath: string | undefined;
    readonly ttlLongestSeconds: number;
    readonly waitLongestMs: number;
    readonly resendMs: number;
    readonly maxWaiting: number;
    readonly maxWaitingPerDevice: number;
    readonly keepMs: number;
    readonly keepKeysMs: number;
  };
  readonly receipts: {
    readonly send: ReceiptMode;
    readonly rate: Rate;
    readonly unverifiedEveryMs: number;
    readonly queueMax: number;
  };
  readonly devices: {
    /** Where devices find the broker. */
    readonly host: string;
    readonly port: number;
    readonly authority: string;
    readonly revocationList: string;
  };
  readonly api: {
    readonly host: string;
    readonly port: number;
    readonly certificate: string;
    readonly key: string;
    readonly keyFile: string;
  };
  readonly checks: {
    readonly toleranceSeconds: number;
    /** Longest outage of the gateway after which old messages are still accepted; 0: none. */
    readonly graceSeconds: number;
    /** Undefined: no limit. */
    readonly rate: Rate | undefined;
    /** How long message ids are remembered at least. */
    readonly rememberSeconds: number;
  };
  readonly store: {
    /** The SQLite file; without a server, it is the store. */
    readonly database: string;
    readonly synchronous: "FULL" | "NORMAL";
    readonly maxPending: number;
    readonly sealingKey: SealingKeyPlaces;
    /** The PostgreSQL servers that are the store; undefined: it is a file. */
    readonly server: StoreServer | undefined;
  };
  readonly node: { readonly name: string; readonly leaseMs: number };
  readonly deadLetters: { readonly maxCount: number; readonly maxAgeMs: number };
  readonly audit: { readonly maxCount: number; readonly maxAgeMs: number };
  readonly log: {
    readonly level: "debug" | "info" | "warning" | "error";
    readonly format: "auto" | "json" | "text";
    readonly accepted: boolean;
  };
}

/** PostgreSQL servers, one of which is the primary; files are paths. */
interface StoreServer {
  readonly user: string;
  readonly hosts: readonly { readonly host: string; readonly port: number }[];
  readonly database: string;
  /** Undefined: use the system's authorities. */
  readonly ca: string | undefined;
  readonly pair: { readonly certificate: string; readonly key: string } | undefined;
  readonly passwordFile: string | undefined;
  /** True: nothing is taken in unless a second server has it. */
  readonly isReplicated: boolean;
}

/** The paths at which the key that seals secrets may be. */
export interface SealingKeyPlaces {
  /** In the site. */
  readonly file: string;
  /** A systemd credential, used first; undefined if systemd passes none. */
  readonly credential: string | undefined;
}

/**
 * A configuration, or every fault in it, each with its place and what is allowed there. `ignored`:
 * environment variables that look like settings but come from a container platform.
 */
type ConfigResult =
  | {
    readonly ok: true;
    readonly config: Config;
    readonly settings: Settings;
    readonly ignored: readonly string[];
  }
  | { readonly ok: false; readonly faults: readonly string[] };

/** Where systemd puts the credentials of a service. */
const CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY";
const SEALING_KEY_CREDENTIAL = "secrets.key";

/**
 * Reads gateway.toml's text with the environment's overrides. `directory` is the absolute site
 * folder; relative paths start there.
 */
export function readConfig(
  toml: string,
  options: { environment: Readonly<Record<string, string>>; directory: string },
): ConfigResult {
  const { settings, faults: misfits, foreign, ignored } = readSettings(toml, options.environment);
  const faults = [
    ...foreign,
    ...(misfits.length === 0 ? crossFaults(settings) : misfits),
  ];
  if (faults.length > 0) return { ok: false, faults };
  return { ok: true, settings, config: configOf(settings, options), ignored };
}

/** How readings are put together; undefined if each goes alone. */
function batchOf({ batch_max, batch_bytes, batch_path }: Settings["backend"]) {
  return batch_max === 1 ? undefined : { max: batch_max, bytes: batch_bytes, path: batch_path };
}

function serverOf(
  store: Settings["store"],
  path: (text: string) => string,
): StoreServer | undefined {
  const url = readStoreUrl(store.url);
  if (store.engine === "sqlite" || url === undefined) return undefined;
  const pathOf = (text: string) => text === "" ? undefined : path(text);
  return {
    ...url,
    ca: pathOf(store.ca),
    pair: store.certificate === ""
      ? undefined
      : { certificate: path(store.certificate), key: path(store.key) },
    passwordFile: pathOf(store.password_file),
    isReplicated: store.durability === "replicated",
  };
}

function keptOf({ max_count, max_age }: Settings["dead_letters"]): Config["deadLetters"] {
  return { maxCount: max_count, maxAgeMs: durationMs(max_age) };
}

function commandsOf(commands: Settings["commands"]): Config["commands"] {
  return {
    callbackPath: commands.callback || undefined,
    ttlLongestSeconds: durationMs(commands.ttl_longest) / 1000,
    waitLongestMs: durationMs(commands.wait_longest),
    resendMs: durationMs(commands.resend),
    maxWaiting: commands.max_waiting,
    maxWaitingPerDevice: commands.max_waiting_per_device,
    keepMs: durationMs(commands.keep),
    keepKeysMs: durationMs(commands.keep_keys),
  };
}

function receiptsOf(receipts: Settings["receipts"]): Config["receipts"] {
  return {
    send: receipts.send,
    rate: { perSecond: receipts.per_device_per_second, burst: RECEIPTS_BURST },
    unverifiedEveryMs: durationMs(receipts.unverified_every),
    queueMax: receipts.queue,
  };
}

/** Faults in how two settings fit together. */
function crossFaults({ backend, store, node }: Settings): string[] {
  const faults: string[] = [];
  if (store.engine === "postgres" && store.url === "") {
    faults.push('store.url: must be given with store.engine = "postgres"');
  }
  if (store.engine === "postgres" && node.name === "") {
    faults.push('node.name: must be given with store.engine = "postgres"');
  }
  if ((store.certificate === "") !== (store.key === "")) {
    faults.push("store.certificate, store.key: need each other");
  }
  if (durationMs(backend.retry_first) > durationMs(backend.retry_longest)) {
    faults.push("backend.retry_first: must not be longer than backend.retry_longest");
  }
  if ((backend.certificate === "") !== (backend.key === "")) {
    faults.push("backend.certificate, backend.key: need each other");
  }
  if (backend.certificate !== "" && !/^https:/i.test(backend.url)) {
    faults.push("backend.certificate: needs a backend.url with https://");
  }
  return faults.map((fault) => `gateway.toml: ${fault}`);
}

function configOf(
  settings: Settings,
  { environment, directory }: {
    readonly environment: Readonly<Record<string, string>>;
    readonly directory: string;
  },
): Config {
  const { broker, backend, devices, api, checks, store, node, log } = settings;
  const path = (text: string) => resolve(directory, text);
  const pathOf = (text: string) => text === "" ? undefined : path(text);
  const credentials = environment[CREDENTIALS_VARIABLE];
  const credential = credentials ? resolve(credentials, SEALING_KEY_CREDENTIAL) : undefined;
  return {
    broker: {
      host: broker.host,
      port: broker.port,
      clientId: broker.client_id,
      keepaliveSeconds: durationMs(broker.keepalive) / 1000,
      ca: path(broker.ca),
      certificate: path(broker.certificate),
      key: path(broker.key),
    },
    backend: {
      url: backend.url.replace(/\/+$/, ""),
      path: backend.path,
      ca: pathOf(backend.ca),
      headersFile: pathOf(backend.headers_file),
      pair: backend.certificate === ""
        ? undefined
        : { certificate: path(backend.certificate), key: path(backend.key) },
      signingKeyFile: pathOf(backend.signing_key_file),
      proxy: backend.proxy || undefined,
      hasTraceparent: backend.traceparent,
      timeoutMs: durationMs(backend.timeout),
      ...{ concurrency: backend.concurrency, batch: batchOf(backend) },
      retryFirstMs: durationMs(backend.retry_first),
      retryLongestMs: durationMs(backend.retry_longest),
      giveUpAfterMs: durationMs(backend.give_up_after),
      retryStatuses: statusesOf(backend.retry_statuses),
    },
    commands: commandsOf(settings.commands),
    receipts: receiptsOf(settings.receipts),
    devices: {
      host: devices.host,
      port: devices.port,
      authority: path(devices.authority),
      revocationList: path(devices.revocation_list),
    },
    api: {
      host: api.host,
      port: api.port,
      certificate: path(api.certificate),
      key: path(api.key),
      keyFile: path(api.key_file),
    },
    checks: {
      toleranceSeconds: durationMs(checks.tolerance) / 1000,
      graceSeconds: durationMs(checks.outage_grace) / 1000,
      rate: checks.rate_limit_per_second === 0
        ? undefined
        : { perSecond: checks.rate_limit_per_second, burst: checks.rate_limit_burst },
      rememberSeconds: durationMs(checks.remember) / 1000,
    },
    store: {
      database: path(store.database),
      synchronous: store.synchronous,
      maxPending: store.max_pending,
      sealingKey: { file: path(store.sealing_key), credential },
      server: serverOf(store, path),
    },
    node: { name: node.name, leaseMs: durationMs(node.lease) },
    deadLetters: keptOf(settings.dead_letters),
    audit: keptOf(settings.audit),
    log,
  };
}
