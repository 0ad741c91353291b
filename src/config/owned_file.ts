/**
 * Files and folders that are made in a site: each belongs to the owner of the folder that it is in,
 * also if root makes it, so that the gateway's user can go on reading it.
 *
 * The rules are:
 * - a file that is new is opened as new, and changed by what is open: in a folder of another user, a
 *   name can become a link to somewhere else at any time;
 * - it has its mode, whatever the umask is.
 */

import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lchownSync,
  lstatSync,
  openSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";

/** Whose a new file is. */
interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/** Makes the file at `path`, which must be new, on the disk; `owner`: another than its folder's. */
export function createOwnedFile(
  path: string,
  text: string,
  { mode, owner }: { readonly mode: number; readonly owner?: Owner },
): void {
  const { O_CREAT, O_EXCL, O_WRONLY } = constants;
  const file = openSync(path, O_CREAT | O_EXCL | O_WRONLY, 0o600);
  try {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length;) at += writeSync(file, bytes.subarray(at));
    const made = fstatSync(file);
    const { uid, gid } = owner ?? ownerAt(path, made);
    if (made.uid !== uid || made.gid !== gid) fchownSync(file, uid, gid);
    fchmodSync(file, mode);
    fsyncSync(file);
  } catch (error) {
    Deno.removeSync(path);
    throw error;
  } finally {
    closeSync(file);
  }
}

/** Makes a new folder that only its owner may open. */
export function makeOwnedFolder(path: string): void {
  Deno.mkdirSync(path, { mode: 0o700 });
  giveToOwner(path);
}

/** The same if there is none yet. */
export function ensureOwnedFolder(path: string): void {
  try {
    makeOwnedFolder(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
}

/** Makes a folder of a random name in `folder`, as `makeOwnedFolder` does; returns its path. */
export function makeOwnedDraftFolder(folder: string, prefix: string): string {
  const path = join(folder, `${prefix}${crypto.randomUUID()}`);
  makeOwnedFolder(path);
  return path;
}

/** Gives to the owner of its folder what this process has made there as root. */
export function giveToOwner(path: string): void {
  const made = lstatSync(path);
  const { uid, gid } = ownerAt(path, made);
  if (made.uid !== uid) lchownSync(path, uid, gid);
}

/** Whose it is to be: only root can give something away, and what others make is theirs. */
function ownerAt(path: string, made: Owner): Owner {
  const { uid, gid } = Deno.statSync(dirname(path));
  return made.uid !== 0 || uid === null || uid === 0 ? made : { uid, gid: gid ?? made.gid };
}
