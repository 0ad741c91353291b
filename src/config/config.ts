/** Turns gateway.toml and the environment into one readonly `Config`, or lists all faults at once. */

import { resolve } from "node:path";
import { parse, TomlError } from "smol-toml";
import { isOfContainerPlatform } from "./environment.ts";
import type { BatchLimits } from "../core/delivery_batch.ts";
import { type ReceiptMode, RECEIPTS_BURST } from "../core/receipt.ts";
import { statusesOf } from "../core/retry_statuses.ts";
import type { Rate } from "../core/token_bucket.ts";
import { durationMs } from "./setting_types.ts";
import {
  environmentName,
  listSettings,
  type Setting,
  SETTINGS,
  type Settings,
} from "./settings.ts";
import { closestName } from "./spelling.ts";
import { lineOfSetting } from "./toml_lines.ts";

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
    readonly database: string;
    readonly synchronous: "FULL" | "NORMAL";
    readonly maxPending: number;
    readonly sealingKey: SealingKeyPlaces;
  };
  readonly deadLetters: { readonly maxCount: number; readonly maxAgeMs: number };
  readonly audit: { readonly maxCount: number; readonly maxAgeMs: number };
  readonly log: {
    readonly level: "debug" | "info" | "warning" | "error";
    readonly format: "auto" | "json" | "text";
    readonly accepted: boolean;
  };
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

/** The environment variable that names the site folder; it is not a setting. */
export const SITE_DIRECTORY_VARIABLE = "SECURE_IOT_GATEWAY_DIR";

/** The environment variable that names this program's own file, if it is a packed one. */
export const PROGRAM_VARIABLE = "SECURE_IOT_GATEWAY_PROGRAM";
/** Where systemd puts the credentials of a service. */
const CREDENTIALS_VARIABLE = "CREDENTIALS_DIRECTORY";
const SEALING_KEY_CREDENTIAL = "secrets.key";

const PREFIX = "SECURE_IOT_GATEWAY_";

/** So much of a wrong value is shown. */
const SHOWN_MAX_CHARS = 60;

/** With the prefix, and no settings: the site, and what a packed program's launcher reads. */
const NO_SETTINGS = [
  SITE_DIRECTORY_VARIABLE,
  PROGRAM_VARIABLE,
  "SECURE_IOT_GATEWAY_CACHE",
  "SECURE_IOT_GATEWAY_EMULATOR",
];

/**
 * Reads gateway.toml's text with the environment's overrides. `directory` is the absolute site
 * folder; relative paths start there.
 */
export function readConfig(
  toml: string,
  options: { environment: Readonly<Record<string, string>>; directory: string },
): ConfigResult {
  let table: Record<string, unknown>;
  try {
    table = parse(toml);
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const what = error.message.split("\n")[0]!.replace("Invalid TOML document: ", "");
    return { ok: false, faults: [`gateway.toml: line ${error.line}: ${what}`] };
  }
  const overridden = override(table, options.environment);
  const { settings, faults: misfits } = check(table, { toml, places: overridden.places });
  const faults = [
    ...overridden.faults,
    ...(misfits.length === 0 ? crossFaults(settings) : misfits),
  ];
  if (faults.length > 0) return { ok: false, faults };
  return { ok: true, settings, config: configOf(settings, options), ignored: overridden.ignored };
}

/** Writes the environment's values into the table; says where each setting came from. */
function override(table: Record<string, unknown>, environment: Readonly<Record<string, string>>) {
  const places = new Map<string, string>();
  const faults: string[] = [];
  const ignored: string[] = [];
  const known = new Map(listSettings().map((s) => [environmentName(s.section, s.key), s]));
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith(PREFIX) || NO_SETTINGS.includes(name)) continue;
    if (isOfContainerPlatform(name, value)) {
      ignored.push(name);
      continue;
    }
    const setting = known.get(name);
    if (!setting) {
      faults.push(`environment: ${name}: unknown setting${didYouMean(name, [...known.keys()])}`);
      continue;
    }
    const section = table[setting.section] ??= {};
    if (!isTable(section)) continue; // named as a fault of gateway.toml
    section[setting.key] = valueOf(value, setting.defaultValue);
    places.set(`${setting.section}.${setting.key}`, name);
  }
  return { places, faults, ignored };
}

function didYouMean(name: string, known: readonly string[]): string {
  const closest = closestName(name, known);
  return closest === undefined ? "" : `, did you mean ${closest}?`;
}

/** An environment variable's text, converted to the type of its setting. */
function valueOf(text: string, standard: string | number | boolean | undefined): unknown {
  if (typeof standard === "number" && /^-?[0-9]+(\.[0-9]+)?$/.test(text)) return Number(text);
  if (typeof standard === "boolean" && /^(true|false)$/.test(text)) return text === "true";
  return text;
}

/** Where settings were read, for those that are faults. */
interface Origin {
  readonly toml: string;
  /** Environment variables, by the setting that they override. */
  readonly places: ReadonlyMap<string, string>;
}

/**
 * The settings in the table, with defaults filled in, and a line for each unknown name or invalid
 * value. `places`: the settings that came from the environment.
 */
function check(table: Record<string, unknown>, { toml, places }: Origin) {
  const settings: Record<string, Record<string, unknown>> = {};
  const faults = unknownIn(table, SETTINGS, { toml });
  for (const [section, known] of Object.entries<Record<string, Setting>>(SETTINGS)) {
    const given = table[section] ?? {};
    if (!isTable(given)) {
      faults.push(`${inToml(toml, section)}: must be a section, [${section}]`);
      continue;
    }
    faults.push(...unknownIn(given, known, { toml, section }));
    const values: Record<string, unknown> = settings[section] = {};
    for (const [key, { defaultValue, accepts, allowed }] of Object.entries(known)) {
      values[key] = given[key] ?? defaultValue;
      if (accepts(values[key])) continue;
      const variable = places.get(`${section}.${key}`);
      const origin = variable ? `environment: ${variable}` : inToml(toml, section, key);
      faults.push(`${origin}: ${allowed}${found(key, values[key])}`);
    }
  }
  return { settings: settings as unknown as Settings, faults };
}

/** A line for each name in a table that is not known there. */
function unknownIn(
  table: Record<string, unknown>,
  known: object,
  { toml, section }: { readonly toml: string; readonly section?: string },
): string[] {
  const names = Object.keys(known);
  return Object.keys(table).filter((name) => !Object.hasOwn(known, name)).map((name) => {
    const place = section === undefined ? inToml(toml, name) : inToml(toml, section, name);
    const elsewhere = listSettings().find(({ key }) => key === name);
    const suggestion = elsewhere
      ? `, did you mean ${elsewhere.section}.${name}?`
      : didYouMean(name, names);
    return `${place}: unknown setting${suggestion || `, allowed here: ${names.join(", ")}`}`;
  });
}

/** A setting's place, with its line if that is found. */
function inToml(toml: string, section: string, key?: string): string {
  const line = lineOfSetting(toml, section, key);
  const name = key === undefined ? section : `${section}.${key}`;
  return `gateway.toml: ${line === undefined ? "" : `line ${line}: `}${name}`;
}

/** The wrong value, but not a URL, which may have a password in it. */
function found(key: string, value: unknown): string {
  if (value === undefined || ["url", "path", "callback"].includes(key)) return "";
  return `, not ${(JSON.stringify(value) ?? String(value)).slice(0, SHOWN_MAX_CHARS)}`;
}

function isTable(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    !(value instanceof Date);
}

/** How readings are put together; undefined if each goes alone. */
function batchOf({ batch_max, batch_bytes, batch_path }: Settings["backend"]) {
  return batch_max === 1 ? undefined : { max: batch_max, bytes: batch_bytes, path: batch_path };
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
function crossFaults({ backend }: Settings): string[] {
  const faults: string[] = [];
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
  const { broker, backend, devices, api, checks, store, log } = settings;
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
    },
    deadLetters: keptOf(settings.dead_letters),
    audit: keptOf(settings.audit),
    log,
  };
}
