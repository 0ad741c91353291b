/** The licences of all that the program is made of, as their texts ask to be passed on with it. */

import { join } from "node:path";
import { ROOT } from "./bundle.ts";
import { BuildFailure } from "./tool.ts";

/** What is under a licence. */
export interface Licensed {
  readonly name: string;
  readonly version: string;
  /** As an SPDX expression. */
  readonly licence: string;
  /** In full, with the notice of whose it is. */
  readonly licenceText: string;
}

const LICENCE_FILE = /^(licen[cs]e|copying|notice|copyright)/i;
const RULE = "-".repeat(80);

/** The texts that a package has in its folder, put together. */
export function licenceTextIn(folder: string): string {
  const names = [...Deno.readDirSync(folder)].map(({ name }) => name)
    .filter((name) => LICENCE_FILE.test(name)).toSorted();
  if (names.length === 0) return licenceInReadme(folder);
  return names.map((name) => Deno.readTextFileSync(join(folder, name)).trim()).join("\n\n");
}

/** Some have it under a heading of their README. */
function licenceInReadme(folder: string): string {
  const readme = [...Deno.readDirSync(folder)].find(({ name }) => /^readme(\.md)?$/i.test(name));
  const text = readme && Deno.readTextFileSync(join(folder, readme.name));
  const section = /^#+\s*licen[cs]e\s*$(.*?)(?=^#|(?![^]))/ims.exec(text ?? "")?.[1]?.trim();
  if (section !== undefined && /copyright .*permission is hereby granted/is.test(section)) {
    return section;
  }
  throw new BuildFailure(`The package in "${folder}" has no licence text`);
}

/** The MIT licence, which this program is under itself, as others give it. */
export function mitLicence(copyright: string): string {
  return Deno.readTextFileSync(join(ROOT, "LICENSE")).trim().replace(/^Copyright .*$/m, copyright);
}

/** One text: what each component is, under which licence, and that licence. */
export function renderLicences(components: readonly Licensed[]): string {
  return components.map(({ name, version, licence, licenceText }) =>
    `${RULE}\n${name} ${version} (${licence})\n${RULE}\n\n${licenceText.replaceAll("\r", "")}\n`
  ).join("\n");
}
