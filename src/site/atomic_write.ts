/** A file is replaced whole or not at all, and keeps its owner and mode. */

import { basename, dirname, join } from "node:path";

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
  const draft = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  const discard = () => Deno.remove(draft).catch(() => {});
  try {
    await writeSynced(draft, text);
    const made = await Deno.stat(draft);
    // The broker's user must be able to read the new one, as it could the old one.
    if (made.uid !== uid || made.gid !== gid) await Deno.chown(draft, uid, gid);
    if (mode !== null) await Deno.chmod(draft, mode & 0o777);
  } catch (error) {
    await discard();
    throw error;
  }
  const place = () =>
    Deno.rename(draft, path).catch(async (error) => {
      await discard();
      throw error;
    });
  return { place, discard };
}

/** True for the name of a draft that was left behind. */
export function isDraftName(name: string): boolean {
  return /^\..+\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

/** Writes a file that only its owner may read; on the disk when this returns. */
export async function writeSynced(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}
