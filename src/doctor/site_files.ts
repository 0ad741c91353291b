/** Which files of a site there are, and what they are for. */

import { basename, dirname, join } from "node:path";
import { type CredentialPaths, type DeviceFolder, deviceFolderAt } from "../site/layout.ts";
import type { Site } from "./check.ts";
import { readText } from "../config/operator_file.ts";

/** A file or folder that is there. */
export interface SiteFile {
  readonly path: string;
  readonly info: Deno.FileInfo;
}

interface Entry {
  readonly path: string;
  readonly isDirectory: boolean;
}

/** Every certificate of the site itself that has a key beside it, by its name. */
export function sitePairs({ layout, config }: Site): ReadonlyMap<string, CredentialPaths> {
  return new Map([
    ["device authority", layout.deviceCa],
    ["previous device authority", layout.previousDeviceCa],
    ["gateway authority", layout.gatewayCa],
    ["broker", layout.broker],
    ["gateway", config.broker],
    ["probe", layout.probe],
    ["API", config.api],
  ]);
}

/** What only its owner may read: keys, secrets, and who may do what at the broker. */
export async function privateFiles(site: Site): Promise<SiteFile[]> {
  const { layout, config } = site;
  const { database, sealingKey } = config.store;
  const keys = [...sitePairs(site).values()].map(({ key }) => key);
  const paths = [
    ...keys,
    config.api.keyFile,
    sealingKey.file,
    ...await databaseFiles(database),
    layout.aclDevices,
    layout.aclGateway,
    ...await deviceSecrets(site),
    layout.devicesFolder,
    layout.dataFolder,
  ];
  return await present(paths);
}

/** What decides over the site, although everybody may read it. */
export async function publicFiles(site: Site): Promise<SiteFile[]> {
  const { layout } = site;
  return await present([
    layout.directory,
    layout.configuration,
    layout.certificatesFolder,
    ...[...sitePairs(site).values()].map(({ certificate }) => certificate),
    layout.revocationList,
    layout.brokerFolder,
    layout.brokerConfiguration,
  ]);
}

/** The devices' folders that are still in the site. */
export async function deviceFolders(site: Site): Promise<DeviceFolder[]> {
  const entries = await deviceEntries(site);
  return entries.filter(({ isDirectory }) => isDirectory).map(({ path }) => deviceFolderAt(path));
}

/** The text of a file; undefined if there is none. */
export async function textIfThere(path: string): Promise<string | undefined> {
  try {
    return await readText(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** The database, what SQLite keeps beside it, and copies that an upgrade has left. */
async function databaseFiles(database: string): Promise<string[]> {
  const entries = await entriesOf(dirname(database));
  return entries.filter(({ path }) => path.startsWith(database)).map(({ path }) => path);
}

/** Keys and secrets in the devices' folders, and any file beside them. */
async function deviceSecrets(site: Site): Promise<string[]> {
  const files = (await deviceEntries(site)).filter(({ isDirectory }) => !isDirectory);
  const folders = await deviceFolders(site);
  return [
    ...files.map(({ path }) => path),
    ...folders.flatMap(({ key, secret }) => [key, secret]),
  ];
}

async function deviceEntries({ layout }: Site): Promise<Entry[]> {
  const entries = await entriesOf(layout.devicesFolder);
  return entries.filter(({ path }) => !basename(path).startsWith("."));
}

async function entriesOf(folder: string): Promise<Entry[]> {
  const entries: Entry[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      entries.push({ path: join(folder, name), isDirectory });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return entries;
}

async function present(paths: readonly string[]): Promise<SiteFile[]> {
  const files = await Promise.all([...new Set(paths)].map(async (path) => {
    try {
      return { path, info: await Deno.stat(path) };
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    }
  }));
  return files.filter((file) => file !== undefined);
}
