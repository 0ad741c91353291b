/** A file is replaced whole or not at all, and keeps its owner and mode. */

import { basename, dirname, join } from "node:path";
import { createOwnedFile } from "../config/owned_file.ts";

/** The new contents of a file, on the disk beside it. */
export interface Replacement {
  /** Puts it in the file's place. */
  place(): Promise<void>;
  /** Takes it away. */
  discard(): Promise<void>;
}

/** Puts `text` in place of the file at `path`, which must be there; on the disk when this returns. */
export async function atomicWrite(path: string, text: string): Promise<void> {
  const replacement = await draftReplacement(path, text);
  await replacement.place();
}

/** Writes what is to take the place of the file at `path`, which must be there. */
export async function draftReplacement(path: string, text: string): Promise<Replacement> {
  const { mode, uid, gid } = await Deno.stat(path);
  // The broker's user must be able to read the new one, as it could the old one.
  const owner = { uid: uid ?? 0, gid: gid ?? 0 };
  return draftOf(path, text, { mode: (mode ?? 0o600) & 0o777, owner });
}

/** Puts `text` at `path`, whether there is a file or not, for the owner of its folder. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  await draftOf(path, text, { mode }).place();
}

/** Takes away what writing these files has left behind that was killed; nobody else may write them now. */
export async function removeDrafts(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    const folder = dirname(path);
    for await (const { name } of Deno.readDir(folder)) {
      const isDraft = isDraftName(name) && name.startsWith(`.${basename(path)}.`);
      if (isDraft) await Deno.remove(join(folder, name));
    }
  }
}

/** Where what is to take the place of `path` is made first: beside it, under a name that no other has. */
export function draftPath(path: string): string {
  return join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
}

/** True for the name of a draft that was left behind. */
export function isDraftName(name: string): boolean {
  return /^\..+\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

function draftOf(
  path: string,
  text: string,
  options: Parameters<typeof createOwnedFile>[2],
): Replacement {
  const draft = draftPath(path);
  createOwnedFile(draft, text, options);
  const discard = () => Deno.remove(draft).catch(() => {});
  const place = () =>
    Deno.rename(draft, path).catch(async (error) => {
      await discard();
      throw error;
    });
  return { place, discard };
}
