/** A file is replaced whole or not at all, and keeps its owner and mode. */

import { basename, dirname, join } from "node:path";
import { createOwnedFile } from "../config/owned_file.ts";

/** Puts `text` in place of the file at `path`, which must be there; on the disk when this returns. */
export async function atomicWrite(path: string, text: string): Promise<void> {
  const { mode, uid, gid } = await Deno.stat(path);
  const draft = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  // The broker's user must be able to read the new one, as it could the old one.
  const owner = { uid: uid ?? 0, gid: gid ?? 0 };
  createOwnedFile(draft, text, { mode: (mode ?? 0o600) & 0o777, owner });
  await renameOrRemove(draft, path);
}

/** Puts `text` at `path`, whether there is a file or not, for the owner of its folder. */
export async function writeWhole(path: string, text: string, mode: number): Promise<void> {
  const draft = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  createOwnedFile(draft, text, { mode });
  await renameOrRemove(draft, path);
}

async function renameOrRemove(draft: string, path: string): Promise<void> {
  try {
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
}
