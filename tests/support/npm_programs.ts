/** Programs of npm that only some tests run: npm fetches them when they are used, in exact versions. */

import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";

/** Fetches a package, named with its version; returns the folder `node_modules` that it is in. */
export async function fetchPackage(name: string): Promise<string> {
  const args = ["-y", "-p", name, "-c", 'printf %s "$PATH"'];
  const environment = { SCARF_ANALYTICS: "false" };
  const path = await ChildProcess.run({ path: "npx", args, environment });
  const [folder] = path.split("/.bin:", 1) as [string];
  if (!folder.endsWith("/node_modules")) throw new Error(`npx has no folder for ${name}: ${path}`);
  return folder;
}
