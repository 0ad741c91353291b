/**
 * Locks of a site: what must not be done twice at once.
 *
 * The rules are:
 * - a lock is a file of its own in data/, which other users cannot open, so they cannot lock it: any
 *   file that they may read they may lock;
 * - a command waits for one for a limited time, and then says who holds it.
 */

import { join } from "node:path";
import { ensureOwnedFolder, giveToOwner } from "../config/owned_file.ts";
import type { SiteLayout } from "./layout.ts";

/** What is done by one process at a time. */
type LockPurpose = "gateway" | "doctor" | "broker" | "authority";

/** Another process holds a lock; the message says which, the hint what to do. */
export class SiteLockedError extends Error {
  override readonly name = "SiteLockedError";
  readonly hint: string;

  constructor(what: string, path: string) {
    const holder = holderOf(path);
    super(
      `${what}: ${holder === "" ? "another process" : `process ${holder}`} has locked "${path}"`,
    );
    this.hint = holder === ""
      ? `Wait until that one ends; fuser -v ${path} names it`
      : `Wait until that one ends, or stop it: kill ${holder}`;
  }
}

const WHAT: Readonly<Record<LockPurpose, string>> = {
  gateway: "Another gateway runs on this site",
  doctor: "Another doctor is running on this site",
  broker: "Another command is giving the broker its lists",
  authority: "Another command is using the authority of the devices",
};

/** How long a command waits for another one. */
const WAIT_MS = 30_000;
const POLL_MS = 50;

/** Takes a lock at once, or throws a `SiteLockedError`; closing the file gives it back. */
export function lockNow(layout: SiteLayout, purpose: LockPurpose): Deno.FsFile {
  const file = tryLock(layout, purpose);
  if (file === undefined) throw lockedError(layout, purpose);
  return file;
}

/** Takes a lock once it is free; rejects with a `SiteLockedError` if that takes too long. */
export async function waitForLock(
  layout: SiteLayout,
  purpose: LockPurpose,
  { waitMs = WAIT_MS }: { readonly waitMs?: number } = {},
): Promise<Deno.FsFile> {
  const endMs = performance.now() + waitMs;
  for (;;) {
    const file = tryLock(layout, purpose);
    if (file !== undefined) return file;
    if (performance.now() >= endMs) throw lockedError(layout, purpose);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** The process that holds a lock now; undefined if none does, or it cannot be told. */
export function lockHolder(layout: SiteLayout, purpose: LockPurpose): number | undefined {
  const file = tryLock(layout, purpose);
  if (file === undefined) return Number(holderOf(lockPath(layout, purpose))) || undefined;
  file.close();
  return undefined;
}

/** Where the lock of a purpose is. */
export function lockPath({ dataFolder }: SiteLayout, purpose: LockPurpose): string {
  return join(dataFolder, `${purpose}.lock`);
}

function lockedError(layout: SiteLayout, purpose: LockPurpose): SiteLockedError {
  return new SiteLockedError(WHAT[purpose], lockPath(layout, purpose));
}

function tryLock(layout: SiteLayout, purpose: LockPurpose): Deno.FsFile | undefined {
  const file = openLock(layout, purpose);
  if (!file.tryLockSync(true)) {
    file.close();
    return undefined;
  }
  file.truncateSync();
  file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  return file;
}

/** The file, made for the site's owner: what root makes, the gateway's user must be able to open. */
function openLock(layout: SiteLayout, purpose: LockPurpose): Deno.FsFile {
  const path = lockPath(layout, purpose);
  ensureOwnedFolder(layout.dataFolder);
  const file = Deno.openSync(path, { read: true, write: true, create: true, mode: 0o600 });
  try {
    // Root must not write to what the site's owner has put there as a link.
    const [named, open] = [Deno.lstatSync(path), file.statSync()];
    if (!named.isFile || named.ino !== open.ino || named.dev !== open.dev || open.nlink !== 1) {
      throw new Error(`"${path}" is a link, or not a file: remove it`);
    }
    giveToOwner(path);
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function holderOf(path: string): string {
  try {
    return /^[0-9]{1,10}/.exec(Deno.readTextFileSync(path))?.[0] ?? "";
  } catch {
    return "";
  }
}
