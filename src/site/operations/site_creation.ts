/**
 * The site folder that `init` makes.
 *
 * The rules are:
 * - Nothing is overwritten: everything that is in the way is named before anything is written.
 * - All or nothing: if a write fails, everything made so far is removed again.
 * - In a folder of another user, root makes a site of that user's.
 * - Keys and access lists are readable by their owner only, whatever the umask.
 * - A site may be in a git checkout: git ignores all of it, unless a .gitignore is there already.
 */

import { apiKeyDigest } from "../../config/credentials.ts";
import { backendUrl, hostName, port as portType } from "../../config/setting_types.ts";
import { openStore } from "../../store/open_store.ts";
import {
  createAuthority,
  createRevocationList,
  SERIAL_BYTES,
  serialFrom,
} from "../pki/authority.ts";
import { isBrokerPath } from "../mosquitto/configuration.ts";
import { renderGatewayToml } from "../gateway_toml.ts";
import { exists } from "../exists.ts";
import { type SiteLayout, siteLayout } from "../layout.ts";
import { giveToOwner } from "../../config/owned_file.ts";
import {
  brokerFiles,
  brokerUser,
  createClientId,
  handOver,
  isSystemError,
  machineFiles,
  makeSiteFolders,
  readable,
  secret,
  type SiteFile,
  takeAway,
  writeNew,
} from "./site_files.ts";

/** What `init` was asked for; `hosts` come on top of localhost and 127.0.0.1. */
export interface SiteOptions {
  readonly directory: string;
  readonly hosts: readonly string[];
  readonly backendUrl: string;
  readonly mqttPort: number;
  readonly gatewayPort: number;
  readonly apiPort: number;
  readonly nowMs: number;
}

/** What the operator should know of a new site. */
export type SiteNote =
  /** When root starts it. */
  | { readonly kind: "broker_stays_root"; readonly reason: string }
  /** It was there, so nobody knows whether git ignores the site's keys. */
  | { readonly kind: "git_ignore_kept"; readonly path: string };

/** Why there is no site. */
export type SiteFault =
  /** Mosquitto's configuration cannot name it. */
  | { readonly kind: "path_not_usable"; readonly path: string }
  | { readonly kind: "host_not_usable"; readonly host: string }
  /** Without the URL: there may be a password in it. */
  | { readonly kind: "backend_not_usable"; readonly allowed: string }
  | {
    readonly kind: "port_not_usable";
    readonly name: "MQTT" | "gateway" | "API";
    readonly port: number;
    readonly allowed: string;
  }
  | { readonly kind: "ports_not_distinct"; readonly ports: readonly number[] }
  | { readonly kind: "site_exists"; readonly path: string }
  | { readonly kind: "file_exists"; readonly path: string }
  | { readonly kind: "system_refused"; readonly reason: string };

/** A site with what the operator should know, or every reason why there is none. */
export type SiteResult =
  | { readonly ok: true; readonly layout: SiteLayout; readonly notes: readonly SiteNote[] }
  | {
    readonly ok: false;
    /** Wrong arguments, files in the way, or a system that refused. */
    readonly because: "arguments" | "existing_files" | "system";
    readonly faults: readonly SiteFault[];
  };

const API_KEY_BYTES = 32;

/** Makes a site, or says everything that keeps it from being made. */
export async function createSite(options: SiteOptions): Promise<SiteResult> {
  const faults = argumentFaults(options);
  if (faults.length > 0) {
    return { ok: false, because: "arguments", faults };
  }
  const layout = siteLayout(options.directory);
  const made: string[] = [];
  try {
    const existing = await existingFiles(layout);
    if (existing.length > 0) {
      return { ok: false, because: "existing_files", faults: inTheWay(layout, existing) };
    }
    const apiKey = createApiKey();
    const files = await siteFiles(layout, { ...options, apiKey });
    const notes = await writeSite(layout, { ...options, apiKey, files, made });
    return { ok: true, layout, notes };
  } catch (error) {
    await takeAway(made);
    if (!isSystemError(error)) throw error;
    const fault = { kind: "system_refused", reason: error.message } as const;
    return { ok: false, because: "system", faults: [fault] };
  }
}

/** A new key for the API: 256 random bits. */
export function createApiKey(): string {
  return randomBytes(API_KEY_BYTES).toBase64({ alphabet: "base64url", omitPadding: true });
}

/** Every fault of the arguments, in the order of the options. */
function argumentFaults(options: SiteOptions): SiteFault[] {
  return [
    pathFault(siteLayout(options.directory).directory),
    ...options.hosts.map(hostFault),
    backendFault(options.backendUrl),
    portFault("MQTT", options.mqttPort),
    portFault("gateway", options.gatewayPort),
    portFault("API", options.apiPort),
    samePortFault([options.mqttPort, options.gatewayPort, options.apiPort]),
  ].filter((fault) => fault !== undefined);
}

function pathFault(path: string): SiteFault | undefined {
  return isBrokerPath(path) ? undefined : { kind: "path_not_usable", path };
}

function hostFault(host: string): SiteFault | undefined {
  return hostName().accepts(host) ? undefined : { kind: "host_not_usable", host };
}

function backendFault(url: string): SiteFault | undefined {
  const { allowed, accepts } = backendUrl();
  return accepts(url) ? undefined : { kind: "backend_not_usable", allowed };
}

function portFault(name: "MQTT" | "gateway" | "API", port: number): SiteFault | undefined {
  const { allowed, accepts } = portType();
  return accepts(port) ? undefined : { kind: "port_not_usable", name, port, allowed };
}

function samePortFault(ports: readonly number[]): SiteFault | undefined {
  const isDistinct = new Set(ports).size === ports.length;
  return isDistinct ? undefined : { kind: "ports_not_distinct", ports };
}

async function existingFiles(layout: SiteLayout): Promise<string[]> {
  const credentials = [layout.deviceCa, layout.gatewayCa, layout.broker, layout.gateway];
  const targets = [
    layout.configuration,
    layout.apiKey,
    ...credentials.flatMap(({ certificate, key }) => [certificate, key]),
    layout.revocationList,
    layout.brokerConfiguration,
    layout.aclDevices,
    layout.aclGateway,
    ...databaseFiles(layout),
  ];
  const there: string[] = [];
  for (const path of targets) if (await exists(path)) there.push(path);
  return there;
}

/** SQLite would take a forgotten journal for the new database's. */
function databaseFiles({ database }: SiteLayout): string[] {
  return [database, `${database}-wal`, `${database}-shm`, `${database}-journal`];
}

function inTheWay({ configuration }: SiteLayout, existing: readonly string[]): SiteFault[] {
  return existing.includes(configuration)
    ? [{ kind: "site_exists", path: configuration }]
    : existing.map((path) => ({ kind: "file_exists", path }));
}

/** Everything but the broker's own files, which depend on who owns what is written. */
async function siteFiles(
  layout: SiteLayout,
  options: SiteOptions & { apiKey: string },
): Promise<SiteFile[]> {
  const { hosts, nowMs, apiKey } = options;
  const deviceCa = await createAuthority({ commonName: "Device authority", nowMs });
  const gatewayCa = await createAuthority({ commonName: "Gateway authority", nowMs });
  // Of no certificate: with it, `doctor` can test at any time that the broker uses the list.
  const unused = { serial: serialFrom(randomBytes(SERIAL_BYTES)), revokedAtMs: nowMs };
  const revocationList = await createRevocationList(deviceCa, {
    revoked: [unused],
    number: 1,
    nowMs,
  });
  return [
    readable(layout.configuration, configurationOf(options, createClientId())),
    // No line break: programs take the file's content as the key.
    secret(layout.apiKey, apiKey),
    readable(layout.deviceCa.certificate, deviceCa.certificatePem),
    secret(layout.deviceCa.key, deviceCa.keyPem),
    readable(layout.gatewayCa.certificate, gatewayCa.certificatePem),
    secret(layout.gatewayCa.key, gatewayCa.keyPem),
    ...await machineFiles(layout, gatewayCa, { hosts, nowMs }),
    readable(layout.revocationList, revocationList),
  ];
}

function configurationOf(options: SiteOptions, clientId: string): string {
  const { hosts: [deviceHost = "localhost"], mqttPort: devicePort } = options;
  return renderGatewayToml({ ...options, clientId, deviceHost, devicePort });
}

/** The database knows the API key from the start. */
async function createDatabase(
  path: string,
  { apiKey, nowMs }: { apiKey: string; nowMs: number },
): Promise<void> {
  const store = await openStore({ database: path }, { author: "command", create: true });
  try {
    await store.apiKeys.importFirst(apiKeyDigest(apiKey), nowMs);
  } finally {
    await store.close();
  }
}

/** Writes the site and lists in `made`, as it goes, what it made; returns notes for the operator. */
async function writeSite(
  layout: SiteLayout,
  options: SiteOptions & { apiKey: string; files: readonly SiteFile[]; made: string[] },
): Promise<SiteNote[]> {
  const { files, made } = options;
  await makeSiteFolders(layout, made);
  const gitNote = await hideFromGit(layout, made);
  for (const file of files) {
    writeNew(file, made);
  }
  made.push(...databaseFiles(layout));
  await createDatabase(layout.database, options);
  await Deno.chmod(layout.database, 0o600);
  giveToOwner(layout.database);

  const user = await brokerUser(layout);
  for (const file of brokerFiles(layout, { layout, ...options, user })) writeNew(file, made);
  await handOver(layout, user);
  const { staysRootBecause: reason } = user;
  const userNote = reason === undefined
    ? undefined
    : { kind: "broker_stays_root", reason } as const;
  return [userNote, gitNote].filter((note) => note !== undefined);
}

const GIT_IGNORE = `# Private keys and secrets of a site must not get into git.
*
`;

/** Keeps the site out of the git checkout that it may be in, unless a file is there already. */
async function hideFromGit(
  { gitIgnore }: SiteLayout,
  made: string[],
): Promise<SiteNote | undefined> {
  if (await exists(gitIgnore)) return { kind: "git_ignore_kept", path: gitIgnore };
  writeNew(readable(gitIgnore, GIT_IGNORE), made);
  return undefined;
}

function randomBytes(count: number): Uint8Array<ArrayBuffer> {
  return crypto.getRandomValues(new Uint8Array(count));
}
