/** The devices in the README are the ones that are tested. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const HEADING = "A device in";
const LINES_MAX = 29;
const DEVICES = { python: "python/device.py", js: "javascript/device.mjs", c: "c/device.c" };

for (const [language, file] of Object.entries(DEVICES)) {
  Deno.test(`the README's ${language} device is examples/device/${file}, byte for byte`, async () => {
    const blocks = codeBlocks(section(await read("../../README.md"), HEADING), language);
    assert.equal(blocks.length, 1, `"${HEADING}" has ${blocks.length} ${language} blocks`);
    assert.equal(blocks[0], await read(`../../examples/device/${file}`));
  });

  Deno.test(`examples/device/${file} has under 30 lines`, async () => {
    const lines = (await read(`../../examples/device/${file}`)).trimEnd().split("\n");
    assert.ok(lines.length <= LINES_MAX, `${lines.length} lines`);
  });
}

function read(path: string): Promise<string> {
  return Deno.readTextFile(fileURLToPath(new URL(path, import.meta.url)));
}

/** The text from the heading that begins with `title` to the next one of its rank or above. */
function section(markdown: string, title: string): string {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^#+ /.test(line) && line.includes(`# ${title}`));
  assert.notEqual(start, -1, `the README has no heading "${title} …"`);
  const rank = /^#+/.exec(lines[start]!)![0].length;
  let fenced = false;
  const length = lines.slice(start + 1).findIndex((line) => {
    if (line.startsWith("```")) fenced = !fenced; // "# …" in a block is a comment
    return !fenced && (/^#+(?= )/.exec(line)?.[0].length ?? Infinity) <= rank;
  });
  return lines.slice(start, length === -1 ? undefined : start + 1 + length).join("\n");
}

function codeBlocks(markdown: string, language: string): string[] {
  const blocks = markdown.matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...blocks].filter(([, name]) => name === language).map(([, , text]) => text!);
}
