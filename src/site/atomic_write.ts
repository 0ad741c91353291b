/** A file is replaced whole or not at all, and keeps its owner and mode. */

import { basename, dirname, join } from "node:path";

/** Puts `text` in place of the file at `path`, which must be there; on the disk when this returns. */
export async function atomicWrite(path: string, text: string): Promise<void> {
  const { mode, uid, gid } = await Deno.stat(path);
  const draft = join(dirname(path), `.${basename(path)}.${crypto.randomUUID()}`);
  try {
    await writeSynced(draft, text);
    const made = await Deno.stat(draft);
    // The broker's user must be able to read the new one, as it could the old one.
    if (made.uid !== uid || made.gid !== gid) await Deno.chown(draft, uid, gid);
    if (mode !== null) await Deno.chmod(draft, mode & 0o777);
    await Deno.rename(draft, path);
  } catch (error) {
    await Deno.remove(draft).catch(() => {});
    throw error;
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  using file = await Deno.open(path, { createNew: true, write: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
}
