/** The folder dist/: what a build leaves behind. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { ROOT } from "./bundle.ts";

/** The sums of everything else in the folder, as `sha256sum -c` takes them. */
const SUMS = "SHA256SUMS";

/** Where the finished files stand, unless a build is told another place. */
export const DIST: string = join(ROOT, "dist");

/** The finished program for one kind of machine. */
export function programName(machine: string): string {
  return `${project.name}-${machine}`;
}

/** The bill of materials. */
export const BILL_NAME: string = `${project.name}.cdx.json`;

/** Writes a file whole or not at all. */
export function writeWhole(path: string, bytes: Uint8Array, mode: number): void {
  const unfinished = `${path}.unfinished`;
  Deno.writeFileSync(unfinished, bytes);
  Deno.chmodSync(unfinished, mode);
  Deno.renameSync(unfinished, path);
}

/** Writes SHA256SUMS over the programs and the bill in `folder`. */
export function writeSums(folder: string): void {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith(project.name)).toSorted();
  const lines = names.map((name) => `${sha256(Deno.readFileSync(join(folder, name)))}  ${name}\n`);
  writeWhole(join(folder, SUMS), new TextEncoder().encode(lines.join("")), 0o644);
}

/** In hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
