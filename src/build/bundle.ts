/** The program as one JavaScript file, the same bytes wherever it is built. */

import { fileURLToPath } from "node:url";
import { outputOf } from "./tool.ts";

/** The project's root folder. */
export const ROOT: string = fileURLToPath(new URL("../..", import.meta.url));

/** Stands in src/config/version.ts for the commit. */
const COMMIT_PLACE = "@COMMIT@";

/** What the bundler leaves in a file whose packages call a `require` that is not there. */
const NO_REQUIRE = "Dynamic require of ";

/**
 * `deno bundle --minify` gives CommonJS packages their `require` by a name it looks for in its own
 * output, and misses that name if minifying has made it `$`. Then the file needs one of its own.
 */
const OWN_REQUIRE = 'import{createRequire as $createRequire}from"node:module";' +
  "var require=$createRequire(import.meta.url);\n";

/**
 * Bundles main.ts with all that it can reach; `commit` is what `--version` will say, and `root` the
 * folder of the project. Minified, since each of the program's two parts holds the whole text in memory.
 */
export async function bundleProgram(commit: string, root: string = ROOT): Promise<string> {
  const args = ["bundle", "-q", "--minify", "main.ts"];
  const bundled = new TextDecoder().decode(await outputOf(Deno.execPath(), args, { cwd: root }));
  const parts = bundled.split(COMMIT_PLACE);
  if (parts.length !== 2) throw new Error(`There must be one "${COMMIT_PLACE}" in the bundle`);
  const program = parts.join(commit);
  return program.includes(NO_REQUIRE) ? OWN_REQUIRE + program : program;
}

/** Twelve digits of the commit that is checked out, marked if files differ from it. */
export async function checkedOutCommit(): Promise<string> {
  const git = async (...args: string[]) =>
    new TextDecoder().decode(await outputOf("git", args, { cwd: ROOT })).trim();
  const commit = await git("rev-parse", "--short=12", "HEAD");
  const changes = await git("status", "--porcelain");
  return changes === "" ? commit : `${commit}-modified`;
}
