const OPEN = new Set<string>();

/** Runs `work` with a temporary folder that is gone afterwards. */
export async function withFolder<T>(work: (folder: string) => T | Promise<T>): Promise<T> {
  const folder = await Deno.makeTempDir({ prefix: "secure-iot-gateway-test-" });
  OPEN.add(folder);
  try {
    return await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
    OPEN.delete(folder);
  }
}

/** Removes every such folder at once, for a process that ends in the middle. */
export function removeFolders(): void {
  for (const folder of OPEN) Deno.removeSync(folder, { recursive: true });
}
