/** The program as one JavaScript file, the same bytes wherever it is built. */

import { fileURLToPath } from "node:url";
import { outputOf } from "./tool.ts";

/** The project's root folder. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** Stands in src/version.ts for the commit. */
const COMMIT_PLACE = "@COMMIT@";

/** Bundles main.ts with all that it can reach; `commit` is what `--version` will say. */
export async function bundleProgram(commit: string): Promise<string> {
  const bundled = await outputOf(Deno.execPath(), ["bundle", "-q", "main.ts"], { cwd: ROOT });
  const parts = withoutCachePath(new TextDecoder().decode(bundled)).split(COMMIT_PLACE);
  if (parts.length !== 2) throw new Error(`There must be one "${COMMIT_PLACE}" in the bundle`);
  return parts.join(commit);
}

/** Twelve digits of the commit that is checked out, marked where files differ from it. */
export async function checkedOutCommit(): Promise<string> {
  const git = async (...args: string[]) =>
    new TextDecoder().decode(await outputOf("git", args, { cwd: ROOT })).trim();
  const commit = await git("rev-parse", "--short=12", "HEAD");
  const changes = await git("status", "--porcelain");
  return changes === "" ? commit : `${commit}-modified`;
}

/** Module names lead into Deno's cache on this machine; `npm/mqtt/…` says as much. */
function withoutCachePath(bundled: string): string {
  const [, prefix] = /^\/\/ (\S*\/npm\/[^/\s]+\/)/m.exec(bundled) ?? [];
  return prefix === undefined ? bundled : bundled.replaceAll(prefix, "npm/");
}
