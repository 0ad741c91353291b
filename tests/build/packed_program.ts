/** The packed program: made once for all tests of a run, started with a cache of its own. */

import { DIST, programName } from "../../src/build/distribution.ts";
import { pack } from "../../src/build/pack.ts";
import { type FinishedRun, runToEnd } from "../support/finished_run.ts";
import { withFolder } from "../support/with_folder.ts";

/** What a test has. */
interface Packed {
  /** SHA256SUMS, the programs and the bill of materials. */
  readonly dist: string;
  /** For this machine. */
  readonly program: string;
  /** For the other kind of machine. */
  readonly foreignProgram: string;
  /** A cache folder, not yet there. */
  readonly cache: string;
  /** Temporary. */
  readonly folder: string;
}

let packed: Promise<void> | undefined;

/** Packs into dist/ where this run of tests has not done so yet. */
export async function withPacked(test: (packed: Packed) => Promise<void>): Promise<void> {
  await (packed ??= pack(DIST, { say: () => {} }));
  const [own, foreign] = thisMachine() === "x86_64" ? ["x86_64", "aarch64"] : ["aarch64", "x86_64"];
  await withFolder(async (folder) => {
    await test({
      dist: DIST,
      program: `${DIST}/${programName(own)}`,
      foreignProgram: `${DIST}/${programName(foreign)}`,
      cache: `${folder}/cache`,
      folder,
    });
  });
}

/** Runs a packed program to its end. */
export async function runPacked(
  path: string,
  args: readonly string[],
  options: {
    readonly cache?: string;
    readonly cwd?: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly stdin?: string;
  },
): Promise<FinishedRun> {
  const { cache = "", environment, ...rest } = options;
  const closed = { XDG_CACHE_HOME: "", ...environment, SECURE_IOT_GATEWAY_CACHE: cache };
  return await runToEnd({ path, args, environment: closed }, rest);
}

/** As `uname -m` says it. */
export function thisMachine(): string {
  return Deno.build.arch;
}

/** True where there is a file, or a link to one. */
export function standsAt(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
