/** `deno task compile`: the program as one file for each kind of machine, by `deno compile`. */

import { join } from "node:path";
import { RUNTIME_FLAGS } from "../process/runtime_flags.ts";
import { type Component, reachablePackages } from "./bill_of_materials.ts";
import { bundleProgram, checkedOutCommit } from "./bundle.ts";
import { DIST, programName, writeNotices } from "./distribution.ts";
import { permissionFlags } from "./permission_flags.ts";
import {
  DENO_LICENCE,
  DENO_LICENCE_TEXT,
  DENO_VERSION,
  requirePinnedDeno,
  type Runtime,
  RUNTIMES,
} from "./runtime.ts";
import { BuildFailure, outputOf, runBuild } from "./tool.ts";

/**
 * Writes every machine's file, and what goes with them, into `folder`. What is compiled is the
 * bundle: it has what main.ts can reach and nothing else, and is the one that `pack` packs.
 */
async function compile(folder: string): Promise<void> {
  requirePinnedDeno();
  Deno.mkdirSync(folder, { recursive: true });
  const commit = await checkedOutCommit();
  const program = await bundleProgram(commit);
  const workshop = Deno.makeTempDirSync({ prefix: "secure-iot-gateway-compile-" });
  try {
    const entry = join(workshop, "main.js");
    Deno.writeTextFileSync(entry, program);
    for (const runtime of RUNTIMES) await compileFor(runtime, entry, folder);
  } finally {
    Deno.removeSync(workshop, { recursive: true });
  }
  writeNotices(folder, { commit, components: [DENO, ...await reachablePackages()] });
}

/** The stub's bytes are Deno's download site's, not npm's: there is no integrity to name. */
const DENO: Component = {
  name: "denort",
  version: DENO_VERSION,
  purl: `pkg:github/denoland/deno@v${DENO_VERSION}`,
  integrity: undefined,
  licence: DENO_LICENCE,
  licenceText: DENO_LICENCE_TEXT,
  dependsOn: [],
};

async function compileFor({ machine }: Runtime, entry: string, folder: string): Promise<void> {
  const name = programName(machine);
  const args = [
    ...["compile", "-q", "--no-config", "--no-lock", "--app-name", "secure-iot-gateway"],
    ...RUNTIME_FLAGS,
    // The most that any command needs: what is baked in cannot depend on the command.
    ...permissionFlags("demo"),
    ...["--target", `${machine}-unknown-linux-gnu`, "--output", join(folder, name), entry],
  ];
  try {
    await outputOf(Deno.execPath(), args);
  } catch (error) {
    throw error instanceof BuildFailure ? await explained(error, machine) : error;
  }
  console.log(`${name}  ${(Deno.statSync(join(folder, name)).size / 1e6).toFixed(1)} MB`);
}

/** Without a network, or if Deno's download site is blocked, the stub is what is missing. */
async function explained(failure: BuildFailure, machine: string): Promise<BuildFailure> {
  const archive = `denort-${machine}-unknown-linux-gnu.zip`;
  if (!failure.message.includes(archive)) return failure;
  const cache = JSON.parse(new TextDecoder().decode(
    await outputOf(Deno.execPath(), ["info", "--json"]),
  )).denoDir;
  const place = join(cache, "dl", "release", `v${DENO_VERSION}`, archive);
  return new BuildFailure(
    `Cannot compile for ${machine}: Deno's runtime stub is not here and cannot be downloaded`,
    `Name a stub with DENORT_BIN, or place it in Deno's cache as ${place}; ` +
      "or make the same file without it: deno task pack",
  );
}

if (import.meta.main) Deno.exit(await runBuild(() => compile(Deno.args[0] ?? DIST)));
