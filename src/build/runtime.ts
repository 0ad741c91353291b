/**
 * Deno itself, as its makers publish it on npm.
 *
 * The rules are:
 * - version and integrity are fixed here, not taken from the download;
 * - nothing is used, from the network or from the cache, that has another integrity.
 */

import { createHash } from "node:crypto";
import { join } from "node:path";
import { mitLicence } from "./licences.ts";
import { BuildFailure, outputOf } from "./tool.ts";

/** The Deno that builds, and that is built in. */
export const DENO_VERSION = "2.9.5";

/** The licence it is under, as an SPDX expression. */
export const DENO_LICENCE = "MIT";

/** The same in full: Deno's npm packages are without it. */
export const DENO_LICENCE_TEXT: string = mitLicence("Copyright 2018-2026 the Deno authors");

/** Deno for one kind of machine. */
export interface Runtime {
  /** As `uname -m` says it. */
  readonly machine: "x86_64" | "aarch64";
  /** On npm. */
  readonly packageName: string;
  /** Of the package's archive, as npm writes it. */
  readonly integrity: string;
}

/** Every machine that the program is built for. */
export const RUNTIMES: readonly Runtime[] = [
  {
    machine: "x86_64",
    packageName: "@deno/linux-x64-glibc",
    integrity:
      "sha512-TDqcnoLe3jlgqYEQm7H7MK6q0JOth+o8iSZzknRODnVkJfPiNnjVn1M1Zc6vnp+ipkyb6Av1/CUlHgHtlq59Gw==",
  },
  {
    machine: "aarch64",
    packageName: "@deno/linux-arm64-glibc",
    integrity:
      "sha512-IuYjsz9PGl7CJcNXMuN27KNDB8Q40brK3SG3l+TXMDVW61ZKwcn0fQHBHnXFiiygEwI8by/fKnASEluhZB1atw==",
  },
];

/** The package's archive: from `cache`, else downloaded by npm into it. Throws a `BuildFailure`. */
export async function fetchRuntime(runtime: Runtime, cache: string): Promise<Uint8Array> {
  const path = join(cache, archiveName(runtime));
  const cached = readIfThere(path);
  if (cached && isGenuine(cached, runtime)) return cached;
  Deno.mkdirSync(cache, { recursive: true });
  const folder = Deno.makeTempDirSync({ dir: cache });
  try {
    const downloaded = await download(runtime, folder);
    const archive = Deno.readFileSync(downloaded);
    if (!isGenuine(archive, runtime)) {
      throw new BuildFailure(`${runtime.packageName} has another integrity than the pinned one`);
    }
    Deno.renameSync(downloaded, path);
    return archive;
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

/** The program `deno` in the package's archive. */
export async function programIn(archive: Uint8Array): Promise<Uint8Array> {
  const path = Deno.makeTempFileSync();
  try {
    Deno.writeFileSync(path, archive);
    return await outputOf("tar", ["-xzOf", path, "package/deno"]);
  } finally {
    Deno.removeSync(path);
  }
}

/** Throws if another Deno runs this build: it would bundle to other bytes. */
export function requirePinnedDeno(version: string = Deno.version.deno): void {
  if (version === DENO_VERSION) return;
  throw new BuildFailure(
    `Cannot build with Deno ${version}: it must be ${DENO_VERSION}`,
    `npx -y deno@${DENO_VERSION} task …`,
  );
}

async function download({ packageName }: Runtime, folder: string): Promise<string> {
  const specifier = `${packageName}@${DENO_VERSION}`;
  try {
    await outputOf("npm", ["pack", "--silent", "--pack-destination", folder, specifier]);
  } catch (error) {
    if (!(error instanceof BuildFailure)) throw error;
    throw new BuildFailure(`Cannot download ${specifier}: ${error.message}`);
  }
  const [{ name } = { name: "" }] = Deno.readDirSync(folder);
  return join(folder, name);
}

/** As `npm pack` names it. */
function archiveName({ packageName }: Runtime): string {
  return `${packageName.replace("@", "").replace("/", "-")}-${DENO_VERSION}.tgz`;
}

function isGenuine(archive: Uint8Array, { integrity }: Runtime): boolean {
  return integrity === `sha512-${createHash("sha512").update(archive).digest("base64")}`;
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return Deno.readFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
