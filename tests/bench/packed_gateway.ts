/** This gateway as the packed file runs it: the bundle, and what the launcher gives the runtime. */

import { bundleProgram } from "../../src/build/bundle.ts";
import { START_ENVIRONMENT, START_FLAGS } from "../../src/build/launcher.ts";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { makeTemporaryFolder } from "./temporary_folder.ts";

let bundle: Promise<string> | undefined;

/** How to run it; it is bundled once, and compiled once, as the launcher does at a first start. */
export async function packedCommand(...args: string[]): Promise<ProgramCommand> {
  const path = await (bundle ??= bundleAndCompile());
  return commandOf(path, args);
}

async function bundleAndCompile(): Promise<string> {
  const path = `${await makeTemporaryFolder()}/main.js`;
  await Deno.writeTextFile(path, await bundleProgram("bench"));
  await ChildProcess.run(commandOf(path, ["--version"]));
  return path;
}

function commandOf(path: string, args: readonly string[]): ProgramCommand {
  const environment = START_ENVIRONMENT;
  return { path: Deno.execPath(), args: ["run", ...START_FLAGS, path, ...args], environment };
}
