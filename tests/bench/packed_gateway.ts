/** This gateway as the packed file runs it: the bundle, and what the launcher gives the runtime. */

import { bundleProgram, ROOT } from "../../src/build/bundle.ts";
import { START_ENVIRONMENT, START_FLAGS } from "../../src/build/launcher.ts";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { makeTemporaryFolder } from "./temporary_folder.ts";

/** The program's paths by what it was bundled from. */
const bundles = new Map<string, Promise<string>>();

/**
 * How to run it; it is bundled once, and compiled once, as the launcher does at a first start. `root`:
 * another folder with the project's files.
 */
export async function packedCommand(args: readonly string[], root = ROOT): Promise<ProgramCommand> {
  const known = bundles.get(root) ?? bundleAndCompile(root);
  bundles.set(root, known);
  return commandOf(await known, args);
}

async function bundleAndCompile(root: string): Promise<string> {
  const path = `${await makeTemporaryFolder()}/main.js`;
  await Deno.writeTextFile(path, await bundleProgram("bench", root));
  await ChildProcess.run(commandOf(path, ["--version"]));
  return path;
}

function commandOf(path: string, args: readonly string[]): ProgramCommand {
  const environment = START_ENVIRONMENT;
  return { path: Deno.execPath(), args: ["run", ...START_FLAGS, path, ...args], environment };
}
