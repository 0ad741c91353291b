/** The folder dist/: what a build leaves behind. */

import { createHash } from "node:crypto";
import { join } from "node:path";
import project from "../../deno.json" with { type: "json" };
import { type Component, renderBill } from "./bill_of_materials.ts";
import { ROOT } from "./bundle.ts";
import { renderLicences } from "./licences.ts";

/** The sums of everything else in the folder, as `sha256sum -c` takes them. */
const SUMS = "SHA256SUMS";

/** Where the finished files go, unless a build is given another folder. */
export const DIST: string = join(ROOT, "dist");

/** The finished program for one kind of machine. */
export function programName(machine: string): string {
  return `${project.name}-${machine}`;
}

/** The bill of materials. */
const BILL = `${project.name}.cdx.json`;

/** The licences of all that is in the bill. */
const LICENCES = `${project.name}.licences.txt`;

/** Writes a file whole or not at all. */
export function writeWhole(path: string, bytes: Uint8Array, mode: number): void {
  const unfinished = `${path}.unfinished`;
  Deno.writeFileSync(unfinished, bytes);
  Deno.chmodSync(unfinished, mode);
  Deno.renameSync(unfinished, path);
}

/** Writes what goes with the programs in `folder`: the bill, the licences, and sums over them all. */
export function writeNotices(
  folder: string,
  { commit, components }: { readonly commit: string; readonly components: readonly Component[] },
): void {
  const write = (name: string, text: string) =>
    writeWhole(join(folder, name), new TextEncoder().encode(text), 0o644);
  write(BILL, renderBill(commit, components));
  write(LICENCES, renderLicences(components));
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => name.startsWith(project.name)).toSorted();
  const lines = names.map((name) => `${sha256(Deno.readFileSync(join(folder, name)))}  ${name}\n`);
  write(SUMS, lines.join(""));
}

/** In hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
