/** Writing a site's folder: files that are new, for whom they belong to, or taken away again. */

import { dirname } from "node:path";
import { readText } from "../../config/operator_file.ts";
import { createOwnedFile, giveToOwner } from "../../config/owned_file.ts";
import { StoreError } from "../../store/store_error.ts";
import { exists } from "../exists.ts";
import type { SiteLayout } from "../layout.ts";
import {
  type BrokerUser,
  chooseBrokerUser,
  type FolderAccess,
  GATEWAY_COMMON_NAME,
  renderBrokerFiles,
} from "../mosquitto/configuration.ts";
import {
  type Authority,
  issueClientCertificate,
  issueServerCertificate,
} from "../pki/authority.ts";

/** A file that is to be written. */
export interface SiteFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
}

const PASSWD = "/etc/passwd";
/** What every machine calls itself. */
export const LOCAL_HOSTS = ["localhost", "127.0.0.1"];
const CLIENT_ID_RANDOM_BYTES = 16;

/** A file that everybody may read. */
export function readable(path: string, text: string): SiteFile {
  return { path, text, mode: 0o644 };
}

/** A file that only its owner may read. */
export function secret(path: string, text: string): SiteFile {
  return { path, text, mode: 0o600 };
}

function siteFolders(layout: SiteLayout): [path: string, mode: number][] {
  return [
    [layout.directory, 0o755],
    [layout.certificatesFolder, 0o755],
    [layout.brokerFolder, 0o755],
    [layout.dataFolder, 0o700],
    [layout.devicesFolder, 0o700],
  ];
}

/** The broker's files for a site at `at`, to be written into the folder of `layout`. */
export function brokerFiles(
  layout: SiteLayout,
  { layout: at, ...options }: {
    readonly layout: SiteLayout;
    readonly mqttPort: number;
    readonly gatewayPort: number;
    readonly user: BrokerUser;
  },
): SiteFile[] {
  const texts = renderBrokerFiles({ layout: at, ...options });
  return [
    readable(layout.brokerConfiguration, texts.brokerConfiguration),
    secret(layout.aclDevices, texts.aclDevices),
    secret(layout.aclGateway, texts.aclGateway),
  ];
}

/** New certificates of a machine's broker and gateway, with their keys, for the folder of `layout`. */
export async function machineFiles(
  layout: SiteLayout,
  authority: Authority,
  { hosts, nowMs }: { readonly hosts: readonly string[]; readonly nowMs: number },
): Promise<SiteFile[]> {
  const broker = await issueServerCertificate(authority, {
    ...{ commonName: "broker", hosts: [...new Set([...LOCAL_HOSTS, ...hosts])], nowMs },
  });
  const gateway = await issueClientCertificate(authority, {
    commonName: GATEWAY_COMMON_NAME,
    nowMs,
  });
  return [
    readable(layout.broker.certificate, broker.certificatePem),
    secret(layout.broker.key, broker.keyPem),
    readable(layout.gateway.certificate, gateway.certificatePem),
    secret(layout.gateway.key, gateway.keyPem),
  ];
}

/** A client id for the gateway at its broker that no other has. */
export function createClientId(): string {
  const random = crypto.getRandomValues(new Uint8Array(CLIENT_ID_RANDOM_BYTES));
  return `secure-iot-gateway-${random.toHex()}`;
}

/** Makes the folders of a site, for whom it belongs to; lists in `made` what it made. */
export async function makeSiteFolders(layout: SiteLayout, made: string[]): Promise<void> {
  for (const [path, mode] of siteFolders(layout)) {
    await makeFolder(path, { mode, made });
    // The site's own belong to whom it belongs; above it, the system's rules hold.
    if (path !== layout.directory && made.includes(path)) giveToOwner(path);
  }
}

/** Makes a folder below one of the site, for whom that belongs to. */
export async function makeFolderInside(path: string, made: string[]): Promise<void> {
  await makeFolder(path, { mode: 0o755, made });
  if (made.includes(path)) giveToOwner(path);
}

/** Makes a folder and the missing ones above it; one that is there keeps its mode. */
async function makeFolder(
  path: string,
  options: { mode: number; made: string[] },
): Promise<void> {
  if (await isFolder(path)) return;
  await makeFolder(dirname(path), { ...options, mode: 0o755 });
  await Deno.mkdir(path, { mode: 0o700 });
  options.made.push(path);
  await Deno.chmod(path, options.mode);
}

/** Writes a file; in `made` once it is there: never a file of somebody else's, never half of ours. */
export function writeNew({ path, text, mode }: SiteFile, made: string[]): void {
  createOwnedFile(path, text, { mode });
  made.push(path);
}

/** Whom the broker of a site becomes. */
export async function brokerUser(layout: SiteLayout): Promise<BrokerUser> {
  const owner = await Deno.stat(layout.broker.key);
  return chooseBrokerUser({
    ownerUid: owner.uid ?? 0,
    passwd: await exists(PASSWD) ? await readText(PASSWD) : "",
    folders: await foldersDownTo([layout.certificatesFolder, layout.brokerFolder]),
  });
}

/** The given folders with all above them, also those behind a symbolic link. */
async function foldersDownTo(paths: readonly string[]): Promise<FolderAccess[]> {
  const real = await Promise.all(paths.map((path) => Deno.realPath(path)));
  const all = new Set([...paths, ...real].flatMap(withParents).sort());
  return await Promise.all([...all].map(async (path) => {
    const { mode, uid, gid } = await Deno.stat(path);
    return { path, mode: mode ?? 0, uid: uid ?? 0, gid: gid ?? 0 };
  }));
}

function withParents(path: string): string[] {
  const parent = dirname(path);
  return parent === path ? [path] : [...withParents(parent), path];
}

/** Gives the broker's user what the broker reads and a folder to keep its state in. */
export async function handOver(layout: SiteLayout, { recipient }: BrokerUser): Promise<void> {
  if (recipient === undefined) return;
  for (const path of [layout.broker.key, layout.aclDevices, layout.aclGateway]) {
    await Deno.chown(path, recipient.uid, recipient.gid);
  }
  // Its group may add files; the sticky bit keeps it from replacing mosquitto.conf, which root reads.
  await Deno.chown(layout.brokerFolder, null, recipient.gid);
  await Deno.chmod(layout.brokerFolder, 0o1775);
}

/** Removes what was made, the last first. */
export async function takeAway(made: readonly string[]): Promise<void> {
  for (const path of made.toReversed()) {
    // What cannot be removed, or was never made, must not hide the fault that led here.
    await Deno.remove(path).catch(() => {});
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** The system's refusals carry a code such as "EACCES"; a bug of ours carries none. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof StoreError ||
    error instanceof Error && typeof (error as Error & { code?: unknown }).code === "string";
}
