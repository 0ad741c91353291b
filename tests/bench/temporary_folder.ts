/** Folders that are gone afterwards, also when the bench is interrupted. */

const open = new Set<string>();

/** Makes a folder that everybody may enter, since the broker and nginx are other users. */
export async function makeTemporaryFolder(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-bench-" });
  open.add(folder);
  await Deno.chmod(folder, 0o755);
  return folder;
}

/** Runs `work` with such a folder. */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await makeTemporaryFolder();
  try {
    return await work(folder);
  } finally {
    await remove(folder);
  }
}

/** Removes those that are left: one that serves the whole bench, or whose work was broken off. */
export async function removeTemporaryFolders(): Promise<void> {
  await Promise.all([...open].map(remove));
}

async function remove(folder: string): Promise<void> {
  if (!open.delete(folder)) return;
  await Deno.remove(folder, { recursive: true });
}
