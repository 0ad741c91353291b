/** Folders that are gone afterwards, also when the bench is interrupted. */

const open = new Set<string>();

/** Runs `work` with a folder that everybody may enter: the broker and nginx are other users. */
export async function withTemporaryFolder<T>(work: (folder: string) => Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-bench-" });
  open.add(folder);
  try {
    await Deno.chmod(folder, 0o755);
    return await work(folder);
  } finally {
    await remove(folder);
  }
}

/** Removes those whose work will not come to its end. */
export async function removeTemporaryFolders(): Promise<void> {
  await Promise.all([...open].map(remove));
}

async function remove(folder: string): Promise<void> {
  if (!open.delete(folder)) return;
  await Deno.remove(folder, { recursive: true });
}
