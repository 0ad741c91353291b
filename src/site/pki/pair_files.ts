/**
 * A certificate and its key in two files, replaced together.
 *
 * The rules are:
 * - at no moment, also if this is killed or the power fails, is there a key that is not its
 *   certificate's: both names are links through one link, `current`, which is replaced in one step;
 * - the versions are in a folder named after the certificate, `broker/` beside `broker.crt`;
 * - the version before stays until the new one is kept, and can be put back in one step;
 * - what was killed halfway is cleared away by the next replacement;
 * - owner and mode of each file stay, since the broker's user must be able to read the new ones.
 */

import { basename, dirname, extname, join, relative } from "node:path";
import { readText } from "../../config/operator_file.ts";
import { createOwnedFile, giveToOwner } from "../../config/owned_file.ts";
import { draftPath, isDraftName, removeDrafts } from "../atomic_write.ts";
import { ignoreMissing } from "../exists.ts";
import type { CredentialPaths } from "../layout.ts";
import type { IssuedCertificate } from "./authority.ts";

/** A pair that is in place, but may be taken back. */
export interface PlacedPair {
  /** Puts the version before back, and removes the new one. */
  takeBack(): Promise<void>;
  /** Removes the version before. */
  keep(): Promise<void>;
}

/** A file of a version: its name there, and the name by which everybody knows it. */
interface VersionFile {
  readonly path: string;
  readonly name: string;
  readonly text: string;
}

const CURRENT = "current";
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Puts a new certificate and key in the places of two files that are there; one caller at a time. */
export async function placePair(
  paths: CredentialPaths,
  pair: Pick<IssuedCertificate, "certificatePem" | "keyPem">,
): Promise<PlacedPair> {
  const folder = versionsFolder(paths);
  await makeFolder(folder);
  await removeDrafts([paths.certificate, paths.key]);
  const before = await currentVersion(folder, paths) ?? await adopt(folder, paths);
  await clearAway(folder, [before]);
  const next = await writeVersion(folder, newFiles(paths, pair));
  await replaceLink(join(folder, CURRENT), next);
  return {
    async takeBack() {
      await replaceLink(join(folder, CURRENT), before);
      await clearAway(folder, [before]);
    },
    keep: () => clearAway(folder, [next]),
  };
}

function versionsFolder({ certificate }: CredentialPaths): string {
  return join(dirname(certificate), basename(certificate, extname(certificate)));
}

/** The name of the version that both files are links to; undefined if one of them is not. */
async function currentVersion(folder: string, paths: CredentialPaths): Promise<string | undefined> {
  for (const path of [paths.certificate, paths.key]) {
    const target = await Deno.readLink(path).catch(() => undefined);
    if (target !== linkTarget(folder, path)) return undefined;
  }
  return await Deno.readLink(join(folder, CURRENT)).catch(() => undefined);
}

/** Makes links of two files as they are, through a version with the same contents; returns its name. */
async function adopt(folder: string, paths: CredentialPaths): Promise<string> {
  const files = await filesOf(paths);
  const version = await writeVersion(folder, files);
  await replaceLink(join(folder, CURRENT), version);
  for (const { path } of files) await replaceLink(path, linkTarget(folder, path));
  return version;
}

function linkTarget(folder: string, path: string): string {
  return join(relative(dirname(path), folder), CURRENT, basename(path));
}

/** Both files as they are; one if certificate and key are in one. */
async function filesOf({ certificate, key }: CredentialPaths): Promise<VersionFile[]> {
  return await Promise.all([...new Set([certificate, key])].map(async (path) => (
    { path, name: basename(path), text: await readText(path) }
  )));
}

function newFiles(
  { certificate, key }: CredentialPaths,
  { certificatePem, keyPem }: Pick<IssuedCertificate, "certificatePem" | "keyPem">,
): VersionFile[] {
  if (certificate === key) {
    return [{ path: key, name: basename(key), text: certificatePem + keyPem }];
  }
  return [
    { path: certificate, name: basename(certificate), text: certificatePem },
    { path: key, name: basename(key), text: keyPem },
  ];
}

/** Writes a version, with owner and mode of the files that it takes the place of; returns its name. */
async function writeVersion(folder: string, files: readonly VersionFile[]): Promise<string> {
  const name = crypto.randomUUID();
  await makeFolder(join(folder, name));
  for (const { path, name: file, text } of files) {
    const { mode, uid, gid } = await Deno.stat(path);
    const owner = { uid: uid ?? 0, gid: gid ?? 0 };
    createOwnedFile(join(folder, name, file), text, { mode: (mode ?? 0o600) & 0o777, owner });
  }
  return name;
}

/** The broker's user must get through; the keys in it are closed. */
async function makeFolder(path: string): Promise<void> {
  try {
    await Deno.mkdir(path, { mode: 0o700 });
  } catch (error) {
    // Root must not write to where the site's owner has made it a link to.
    const isThere = error instanceof Deno.errors.AlreadyExists;
    if (isThere && (await Deno.lstat(path)).isDirectory) return;
    throw error;
  }
  await Deno.chmod(path, 0o755);
  giveToOwner(path);
}

async function replaceLink(path: string, target: string): Promise<void> {
  const draft = draftPath(path);
  await Deno.symlink(target, draft);
  giveToOwner(draft);
  await Deno.rename(draft, path);
}

/** A version's name, or that of a link that was not put in its place: what else is there is the operator's. */
function isOurs(name: string): boolean {
  return UUID.test(name) || isDraftName(name);
}

/** Removes every version but those, and what was killed halfway. */
async function clearAway(folder: string, kept: readonly string[]): Promise<void> {
  for await (const { name } of Deno.readDir(folder)) {
    if (!isOurs(name) || kept.includes(name)) continue;
    await Deno.remove(join(folder, name), { recursive: true }).catch(ignoreMissing);
  }
}
