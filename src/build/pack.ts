/**
 * `deno task pack`: the program as one self-extracting file for each kind of machine, made of a
 * launcher, Deno's own npm package as it is published, and the bundled program.
 */

import { Buffer } from "node:buffer";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { type Component, npmPurl, reachablePackages } from "./bill_of_materials.ts";
import { bundleProgram, checkedOutCommit } from "./bundle.ts";
import { DIST, programName, sha256, writeNotices, writeWhole } from "./distribution.ts";
import { renderLauncher } from "./launcher.ts";
import {
  DENO_LICENCE,
  DENO_LICENCE_TEXT,
  DENO_VERSION,
  fetchRuntime,
  programIn,
  requirePinnedDeno,
  type Runtime,
  RUNTIMES,
} from "./runtime.ts";
import { BuildFailure, runBuild } from "./tool.ts";

/** Writes every machine's file, and what goes with them, into `folder`. */
export async function pack(
  folder: string,
  { say }: { readonly say: (line: string) => void } = { say: console.log },
): Promise<void> {
  requirePinnedDeno();
  Deno.mkdirSync(folder, { recursive: true });
  const commit = await checkedOutCommit();
  const program = new TextEncoder().encode(await bundleProgram(commit));
  for (const runtime of RUNTIMES) {
    const packed = await packFor(runtime, program, { commit });
    writeWhole(join(folder, programName(runtime.machine)), packed, 0o755);
    say(`${programName(runtime.machine)}  ${(packed.length / 1e6).toFixed(1)} MB`);
  }
  const components = [...RUNTIMES.map(componentOf), ...await reachablePackages()];
  writeNotices(folder, { commit, components });
}

/** Puts a launcher before Deno's archive and the program; the result is ready to run. */
export async function assemble(
  parts: { readonly archive: Uint8Array; readonly program: Uint8Array },
  about: { readonly commit: string; readonly machine: string },
): Promise<Uint8Array> {
  const { archive, program } = parts;
  const deno = await programIn(archive);
  const packed = gzipSync(program, { level: 9 });
  const launcher = renderLauncher({
    ...about,
    archiveBytes: archive.length,
    packedBytes: packed.length,
    deno: { bytes: deno.length, sha256: sha256(deno) },
    program: { bytes: program.length, sha256: sha256(program) },
  });
  return Buffer.concat([launcher, archive, packed]);
}

async function packFor(
  runtime: Runtime,
  program: Uint8Array,
  { commit }: { readonly commit: string },
): Promise<Uint8Array> {
  const archive = await fetchRuntime(runtime, downloadFolder());
  return await assemble({ archive, program }, { commit, machine: runtime.machine });
}

function componentOf({ packageName, integrity }: Runtime): Component {
  return {
    name: packageName,
    version: DENO_VERSION,
    purl: npmPurl(packageName, DENO_VERSION),
    integrity,
    licence: DENO_LICENCE,
    licenceText: DENO_LICENCE_TEXT,
    dependsOn: [],
  };
}

/** Outside the checkout: a download outlives it. */
function downloadFolder(): string {
  const home = Deno.env.get("HOME");
  const cache = Deno.env.get("XDG_CACHE_HOME") || (home && join(home, ".cache"));
  if (!cache) throw new BuildFailure("There is no home folder to keep downloads in", "Set HOME");
  return join(cache, "secure-iot-gateway-build");
}

if (import.meta.main) Deno.exit(await runBuild(() => pack(Deno.args[0] ?? DIST)));
