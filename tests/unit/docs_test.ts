/**
 * The docs hold: what is generated is up to date, every link leads somewhere, every command exists,
 * and the devices shown are the ones that are tested.
 */

import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { renderPage, TABLES } from "../../src/build/docs.ts";
import { createProgram } from "../../src/cli/program.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const README_LINES_MAX = 150;
const DEVICE_LINES_MAX = 280;
const BACKEND_LINES_MAX = 39;
const FIRMWARE_PAGE = "docs/device/firmware.md";
const BACKENDS = ["node/backend.mjs", "python/backend.py"];
const SHORT_BACKENDS = ["node/signed.mjs", "python/signed.py", "node/batches.mjs"];
/** What GitHub takes out of a heading to make its anchor. */
const NOT_IN_ANCHORS = /[^\p{Letter}\p{Number}\p{Connector_Punctuation} -]/gu;

/** A source file as prose names it: `pipeline/intake.ts`, and the same in a comment. */
const NAMED_IN_CODE = /`((?:[\w-]+\/)*\w+\.ts)`/g;
const NAMED_IN_COMMENTS = /(?<![\w./-])((?:[\w-]+\/)*\w+\.ts)\b/g;

interface Page {
  /** From the project's root. */
  readonly path: string;
  readonly text: string;
}

const PAGES: readonly Page[] = [
  ...namesIn(".").filter((name) => name.endsWith(".md")),
  ...["docs", "kits", "mosquitto", "certs", "examples"].flatMap(pathsBelow)
    .filter((path) => path.endsWith(".md")),
].map((path) => ({ path, text: read(path) }));

Deno.test("the generated tables are up to date: deno task docs", async () => {
  for (const page of new Set(Object.values(TABLES).map(({ page }) => page))) {
    assert.equal(await renderPage(page, read(page)), read(page), page);
  }
});

Deno.test(`the README has at most ${README_LINES_MAX} lines`, () => {
  assert.ok(read("README.md").trimEnd().split("\n").length <= README_LINES_MAX);
});

Deno.test("every relative link leads to a file, and every anchor to a heading", () => {
  const faults = PAGES.flatMap(({ path, text }) =>
    linksOf(text).filter((link) => !leadsSomewhere(path, link)).map((link) => `${path}: ${link}`)
  );
  assert.deepEqual(faults, []);
});

Deno.test("every source file that is named exists, and a link's text names where it leads", () => {
  const sources = ["src", "tests", "examples"].flatMap(pathsBelow).concat(namesIn("."));
  const exists = (name: string) => sources.some((path) => `/${path}`.endsWith(`/${name}`));
  const texts = [
    ...PAGES.map(({ path, text }) => ({ path, text, names: text.matchAll(NAMED_IN_CODE) })),
    ...pathsBelow("src").filter((path) => path.endsWith(".ts")).map((path) => {
      const text = read(path);
      return { path, text, names: commentsOf(text).matchAll(NAMED_IN_COMMENTS) };
    }),
  ];
  for (const { path, text, names } of texts) {
    for (const [, name] of names) assert.ok(exists(name!), `${path}: ${name}`);
    for (const [, name, link] of text.matchAll(/\[`([\w./-]+\.ts)`\]\(([^)\s]+)\)/g)) {
      assert.ok(`/${targetOf(path, link!)}`.endsWith(`/${name}`), `${path}: ${name}`);
    }
  }
});

Deno.test("every docs page is linked from another page", () => {
  const linked = new Set(
    PAGES.flatMap(({ path, text }) =>
      linksOf(text).map((link) => targetOf(path, link)).filter((target) => target !== path)
        .flatMap((target) => [target, `${target}/README.md`])
    ),
  );
  for (const { path } of PAGES) assert.ok(path === "README.md" || linked.has(path), path);
});

Deno.test("every command line in the docs names a task, a command and options that exist", () => {
  const faults = PAGES.flatMap(({ path, text }) =>
    shellLinesOf(text).flatMap((line) => faultsOfLine(line).map((fault) => `${path}: ${fault}`))
  );
  assert.deepEqual(faults, []);
});

Deno.test("every command is in the table of commands", () => {
  const table = read("docs/operator/install.md");
  for (const name of commandNames(createProgram())) {
    assert.match(table, new RegExp(`\\| .*\`${name}[ \`].* \\|`), name);
  }
});

Deno.test("the check of command lines finds what does not exist", () => {
  assert.deepEqual(faultsOfLine("deno task nonsense"), ["deno task nonsense: no task"]);
  assert.deepEqual(faultsOfLine("sudo secure-iot-gateway device melt x"), [
    'secure-iot-gateway device melt x: "device" has no command "melt"',
  ]);
  assert.deepEqual(faultsOfLine("deno task gateway device list --yaml # as YAML"), [
    'deno task gateway device list --yaml: "list" has no option "--yaml"',
  ]);
});

Deno.test("the device in the docs is the example in Python, byte for byte", () => {
  const blocks = codeBlocks(read(FIRMWARE_PAGE), "python");
  assert.deepEqual(blocks, [read("examples/device/python/device.py")]);
});

Deno.test("each device example is on the page for firmware authors, and can be read in one sitting", () => {
  const linked = linksOf(read(FIRMWARE_PAGE)).map((link) => targetOf(FIRMWARE_PAGE, link));
  for (const path of pathsBelow("examples/device")) {
    assert.ok(linked.some((link) => path === link || path.startsWith(`${link}/`)), path);
    assert.ok(linesOf(path) <= DEVICE_LINES_MAX, path);
  }
});

for (const file of BACKENDS) {
  Deno.test(`examples/backend/${file} has under 40 lines`, () => {
    assert.ok(linesOf(`examples/backend/${file}`) <= BACKEND_LINES_MAX);
  });
}

for (const file of SHORT_BACKENDS) {
  Deno.test(`examples/backend/${file} has under 30 lines`, () => {
    assert.ok(linesOf(`examples/backend/${file}`) < 30);
  });
}

function read(path: string): string {
  return Deno.readTextFileSync(join(ROOT, path));
}

function namesIn(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].filter(({ isFile }) => isFile)
    .map(({ name }) => name).sort();
}

function pathsBelow(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory ? pathsBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  ).sort();
}

function linesOf(path: string): number {
  return read(path).trimEnd().split("\n").length;
}

/** A page's text without its blocks of code, and without code in its lines. */
function proseOf(text: string): string {
  return text.replaceAll(/^```.*?^```$/gms, "").replaceAll(/`[^`\n]*`/g, "");
}

function commentsOf(text: string): string {
  return [...text.matchAll(/\/\*\*.*?\*\/|^\s*\/\/.*$/gms)].join("\n");
}

/** Links of a page that lead into this tree. */
function linksOf(text: string): string[] {
  return [...proseOf(text).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** The file or folder that a link leads to, from the project's root. */
function targetOf(path: string, link: string): string {
  const [file = ""] = link.split("#");
  return file === "" ? path : relative(ROOT, join(ROOT, dirname(path), file));
}

function leadsSomewhere(path: string, link: string): boolean {
  const target = targetOf(path, link);
  const [, anchor] = link.split("#");
  try {
    Deno.statSync(join(ROOT, target));
  } catch {
    return false;
  }
  return anchor === undefined || anchorsOf(read(target)).has(anchor);
}

function anchorsOf(text: string): Set<string> {
  const headings = text.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#+ (.*)$/gm);
  return new Set(
    [...headings].map(([, title]) =>
      title!.toLowerCase().replaceAll(NOT_IN_ANCHORS, "").replaceAll(" ", "-")
    ),
  );
}

function codeBlocks(text: string, language: string): string[] {
  const blocks = text.matchAll(/^```(\w*)\n(.*?)^```$/gms);
  return [...blocks].filter(([, name]) => name === language).map(([, , code]) => code!);
}

/** Lines of shell, those that go on in the next one joined, and commands in the text. */
function shellLinesOf(text: string): string[] {
  const blocks = codeBlocks(text, "sh").join("").replaceAll("\\\n", " ").split("\n");
  const inline = [...text.replaceAll(/^```.*?^```$/gms, "").matchAll(/`([^`\n]+)`/g)]
    .map(([, code]) => code!).filter((code) => /\b(deno task|secure-iot-gateway) /.test(code));
  return [...blocks, ...inline];
}

/** What a line of shell names that does not exist. */
function faultsOfLine(line: string): string[] {
  const [command] = line.split(/\s+#|\s+&$/);
  const task = /\b(?:deno|deno@[\d.]+) task (\S+)( .*)?$/.exec(command!);
  if (task && !Object.hasOwn(TASKS, task[1]!)) return [`${task[0]}: no task`];
  if (task && task[1] !== "gateway") return [];
  const program = task ?? /\bsecure-iot-gateway( .*)$/.exec(command!);
  if (!program) return [];
  const words = (program.at(-1) ?? "").match(/'[^']*'|"[^"]*"|\S+/g) ?? [];
  const fault = faultOfWords(createProgram(), words);
  return fault === undefined ? [] : [`${program[0]}: ${fault}`];
}

/** Of the commands that do something: "device add". */
function commandNames(command: Command, parents: readonly string[] = []): string[] {
  return command.commands.flatMap((one) => {
    const path = [...parents, one.name()];
    return one.commands.length > 0 ? commandNames(one, path) : [path.join(" ")];
  });
}

const TASKS: Record<string, unknown> = JSON.parse(read("deno.json")).tasks;

function faultOfWords(root: Command, words: readonly string[]): string | undefined {
  let command = root;
  for (const word of words) {
    const [name] = word.split("=");
    if (word.startsWith("-")) {
      if (name === "--help" || command.options.some(({ long }) => long === name)) continue;
      return `"${command.name()}" has no option "${name}"`;
    }
    if (command.commands.length === 0 || word === "…") continue;
    const next = command.commands.find((one) => one.name() === word);
    if (next === undefined) return `"${command.name()}" has no command "${word}"`;
    command = next;
  }
  return undefined;
}
