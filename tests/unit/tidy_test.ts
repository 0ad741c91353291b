/**
 * The house's own rules, checked.
 *
 * The rules are:
 * - a folder of src/ imports only what `MAY_IMPORT` grants it, and nothing is loose in src/;
 * - core/ is pure; only store/ has SQL; gateway/ and site/ never meet;
 * - only open_store.ts names an engine; tests may, to do damage or to see what is in a file;
 * - the use cases in site/operations/ return faults as values; sentences are made in cli/;
 * - there are no import cycles;
 * - no function has more than 70 lines, no file more than 400;
 * - the docs and the sources name no path of a machine, and no secret is in the tree.
 */

import assert from "node:assert/strict";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { RUNTIME_FLAGS } from "../../src/process/runtime_flags.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const FUNCTION_MAX_LINES = 70;
const FILE_MAX_LINES = 400;
const GATEWAY_MAX_LINES = 150;

interface Source {
  /** From the project's root. */
  readonly path: string;
  readonly text: string;
  /** Paths of the project's own files that it imports, types among them. */
  readonly imports: readonly string[];
  /** Bare imports. */
  readonly packages: readonly string[];
}

const SOURCES = readSources("src").concat(readSources("tests"), readSource("main.ts"));
const OURS = SOURCES.filter(({ path }) => !path.startsWith("tests/"));

function readSources(folder: string): Source[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return readSources(`${folder}/${name}`);
    return name.endsWith(".ts") ? [readSource(`${folder}/${name}`)] : [];
  });
}

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  );
}

function readSource(path: string): Source {
  const text = Deno.readTextFileSync(join(ROOT, path));
  const specifiers = [...text.matchAll(/(?:from |import\(?\s*)"([^"\n]+)"/g)].map(([, name]) =>
    name!
  );
  const own = specifiers.filter((name) => name.startsWith("."));
  return {
    path,
    text,
    imports: own.map((name) => relative(ROOT, join(ROOT, dirname(path), name))),
    packages: specifiers.filter((name) => !name.startsWith(".")),
  };
}

/**
 * What each folder of src/ may import, besides itself. A folder that is not here fails the test, and
 * so does an import that is not: there are no exceptions.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  core: [],
  time: [],
  http: ["time"],
  log: ["core"],
  config: ["core"],
  store: ["core", "config", "time"],
  gateway: ["diagnosis", "store", "core", "config", "time", "http", "log"],
  site: ["store", "core", "config", "time"],
  process: ["gateway", "store", "core", "config", "time", "log"],
  client: ["core", "time", "config", "http"],
  diagnosis: ["core", "store"],
  doctor: ["client", "http", "site", "store", "core", "config", "time", "log"],
  demo: ["client", "process", "site", "core", "config", "time", "log"],
  cli: [
    "diagnosis",
    "doctor",
    "demo",
    "client",
    "process",
    "site",
    "store",
    "core",
    "config",
    "time",
    "log",
  ],
  build: ["process", "gateway", "site", "config", "core", "log"],
};

/** The folder of src/ that a file is in; undefined outside, and for a file that is loose in it. */
function folderOf(path: string): string | undefined {
  const [top, folder, file] = path.split("/");
  return top === "src" && file !== undefined ? folder : undefined;
}

Deno.test("every source file is in a folder that has a rule", () => {
  for (const { path } of OURS) {
    if (path === "main.ts") continue;
    assert.ok(Object.hasOwn(MAY_IMPORT, folderOf(path) ?? ""), path);
  }
});

Deno.test("a folder imports only what it may", () => {
  for (const { path, imports } of OURS) {
    const from = folderOf(path);
    if (from === undefined) continue;
    for (const imported of imports) {
      const to = folderOf(imported);
      if (to === undefined) continue; // a template, or deno.json
      assert.ok(to === from || MAY_IMPORT[from]?.includes(to), `${path} imports ${imported}`);
    }
  }
});

Deno.test("only store/ has SQL", () => {
  const statement = /\b(SELECT .* FROM|INSERT INTO|UPDATE \w+ SET|DELETE FROM|PRAGMA)\b/;
  for (const { path, text } of OURS) {
    if (folderOf(path) === "store") continue;
    const found = statement.exec(text)?.[0];
    assert.equal(found, undefined, path);
    assert.doesNotMatch(text, /node:sqlite/, path);
  }
});

Deno.test("only open_store.ts knows which engines there are", () => {
  const engineOf = (path: string) => /^src\/store\/([^/]+)\//.exec(path)?.[1];
  for (const { path, imports } of OURS) {
    if (path === "src/store/open_store.ts") continue;
    const engine = imports.map(engineOf).find((engine) => engine !== undefined);
    assert.ok(engine === undefined || engine === engineOf(path), `${path} imports ${engine}`);
  }
});

Deno.test("site/operations/ makes no sentences of its faults", () => {
  for (const { path, text } of OURS) {
    if (!path.startsWith("src/site/operations/")) continue;
    const found = /(fault|reason|hint|message): *["`][^"`]* [^"`]*["`]|["`]Cannot /.exec(text)?.[0];
    assert.equal(found, undefined, path);
  }
});

Deno.test("core/ is pure: no packages, no clock, no chance, no console, nothing of Deno", () => {
  for (const { path, text, packages } of OURS) {
    if (folderOf(path) !== "core") continue;
    assert.deepEqual(packages, [], path);
    const impure = text.match(
      /\b(Deno\.|fetch\(|Date\.now|Math\.random|randomUUID|getRandom|console)/,
    );
    assert.equal(impure, null, `${path}: ${impure?.[0]}`);
  }
});

Deno.test("milliseconds become seconds, and a day has its length, in core/time.ts", () => {
  for (const { path, text } of OURS) {
    if (path === "src/core/time.ts") continue;
    const found = /^.*(Math\.floor\([^;]* \/ 1_?000\)(?! \/)|(SECONDS|MS) = 86_400(_000)?;).*$/m
      .exec(
        text,
      );
    assert.equal(found?.[0], undefined, `${path}: secondsOf(), DAY_SECONDS and DAY_MS are there`);
  }
});

Deno.test("each half of the decision has one caller, so that `verify` cannot differ", () => {
  const callers = (called: string) =>
    OURS.filter(({ text }) => text.includes(`${called}(`)).map(({ path }) => path).sort();
  assert.deepEqual(callers("decideOrigin"), ["src/core/examination.ts", "src/core/verdict.ts"]);
  assert.deepEqual(callers("decideSigned"), ["src/core/admission.ts", "src/core/verdict.ts"]);
});

Deno.test("there are no import cycles", () => {
  const byPath = new Map(SOURCES.map((source) => [source.path, source]));
  const done = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    assert.ok(!trail.includes(path), `cycle: ${[...trail, path].join(" > ")}`);
    if (done.has(path)) return;
    for (const next of byPath.get(path)?.imports ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const { path } of SOURCES) visit(path, []);
});

Deno.test(`gateway.ts is a life cycle: at most ${GATEWAY_MAX_LINES} lines`, () => {
  const gateway = OURS.find(({ path }) => path === "src/gateway/gateway.ts");
  assert.ok(gateway && gateway.text.trimEnd().split("\n").length <= GATEWAY_MAX_LINES);
});

Deno.test(`no function has more than ${FUNCTION_MAX_LINES} lines, no file more than ${FILE_MAX_LINES}`, () => {
  for (const { path, text } of SOURCES) {
    const lines = text.split("\n");
    assert.ok(lines.length <= FILE_MAX_LINES, `${path}: ${lines.length} lines`);
    for (const [name, length] of functionLengths(lines)) {
      assert.ok(length <= FUNCTION_MAX_LINES, `${path}: ${name} has ${length} lines`);
    }
  }
});

Deno.test("the page's own scripts have the same bounds", () => {
  for (const path of filesBelow("src/gateway/page/assets").filter((path) => path.endsWith(".js"))) {
    const lines = Deno.readTextFileSync(join(ROOT, path)).split("\n");
    assert.ok(lines.length <= FILE_MAX_LINES, `${path}: ${lines.length} lines`);
    for (const [name, length] of functionLengths(lines)) {
      assert.ok(length <= FUNCTION_MAX_LINES, `${path}: ${name} has ${length} lines`);
    }
  }
});

/**
 * Words that make a reader stop, and the usual ones; in sources, docs, templates and scripts, as
 * whole words. Add one, with what to write in its place, once it is gone.
 */
const BANNED_PHRASES: Readonly<Record<string, string>> = {
  "paper-style": "existing `devices` table",
  "in order to": "to",
  "heretofore": "until now",
  "anew": "again",
  "whoever": "the client, the program",
  "for ever": "without end",
  "in vain": "failed",
  "in good order": "cleanly",
  "where given": "if given",
  "where none": "if there is none",
  "to no avail": "failed",
  "of its own accord": "by itself",
  "thereof": "of it",
  "herein": "here",
  "hitherto": "until now",
  "shall": "must, or the present tense",
  "utilize": "use",
  "leverage": "use",
  "seamless": "say what it does",
  "robust": "say what it survives",
  "simply": "leave it out",
  "save for": "except for",
  "of late": "lately",
  "for good": "permanently",
  "goes by": "uses, reads",
  "to mend": "to fix",
  "mends": "fixes",
  "mended": "fixed",
  "stands twice": "appears twice",
  "upon": "on",
  "thus": "so",
  "lest": "so that not",
  "wherein": "in which",
};

Deno.test("no banned phrase is in sources, docs, templates or scripts", () => {
  const scripted = ["src", "mosquitto", "examples", "kits"].flatMap(filesBelow)
    .filter((path) => !/\.(ts|json)$/.test(path));
  const others = [...markdownFiles(), ...scripted, ".ci/run", ".githooks/pre-commit"];
  const texts = others.map((path) => ({ path, text: Deno.readTextFileSync(join(ROOT, path)) }));
  for (const { path, text } of [...OURS, ...texts]) {
    for (const [phrase, better] of Object.entries(BANNED_PHRASES)) {
      const found = new RegExp(`\\b${phrase}\\b`, "i").test(text);
      assert.ok(!found, `${path}: not "${phrase}", but: ${better}`);
    }
  }
});

/** The root's Markdown and all of docs/, as paths from the root. */
function markdownFiles(folder = ""): string[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    const path = folder === "" ? name : `${folder}/${name}`;
    if (isDirectory) return path.startsWith("docs") ? markdownFiles(path) : [];
    return name.endsWith(".md") ? [path] : [];
  });
}

/** Functions and methods by indentation, which the formatter fixes. */
function functionLengths(lines: readonly string[]): [name: string, length: number][] {
  const opening =
    /^( *)(?:export )?(?:async )?(?:static )?(?:async )?(?:function\*? |\*|#|get )?(#?\w+)(?:<[^(]*>)?\(.*\{$|^( *)\): .*\{$/;
  return lines.flatMap((line, start): [string, number][] => {
    const match = opening.exec(line);
    if (!match || /^ *(if|for|while|switch|else|return|Deno)\b/.test(line)) return [];
    const indent = match[1] ?? match[3] ?? "";
    const end = lines.findIndex((later, i) => i > start && later.startsWith(`${indent}}`));
    return [[match[2] ?? line.trim(), end - start + 1]];
  });
}

Deno.test("top-level functions are declarations, and exports have a sentence", () => {
  for (const { path, text } of OURS) {
    const lines = text.split("\n");
    lines.forEach((line, i) => {
      assert.doesNotMatch(
        line,
        /^(export )?const \w+ = (async )?(\([^)]*\)|\w+) =>/,
        `${path}:${i + 1}`,
      );
      if (!/^export (?!type \{|\{|\*|type \w+ = typeof|type \w+ =)/.test(line)) return;
      assert.match(lines[i - 1] ?? "", /\*\/$/, `${path}:${i + 1}: ${line}`);
    });
  }
});

Deno.test("what is exported is imported somewhere", () => {
  const imported = new Set(SOURCES.flatMap(importedNames));
  for (const { path, text } of SOURCES) {
    if (/^tests\/(bench|faults)\//.test(path)) continue;
    const names = text.matchAll(
      /^export (?:async )?(?:const|function\*?|class|interface|type) (\w+)/gm,
    );
    for (const [, name] of names) assert.ok(imported.has(`${path} ${name}`), `${path}: ${name}`);
  }
});

/** What a file imports from files of the project, at its start or later: "path name". */
function importedNames({ path, text }: Source): string[] {
  const imports = [
    ...text.matchAll(/\b(?:import|export) (?:type )?\{(?<names>[^{}]*)\} from "(?<file>\.[^"]+)"/g),
    ...text.matchAll(/\{(?<names>[^{}]*)\} = await import\("(?<file>\.[^"]+)"\)/g),
    ...text.matchAll(/\(await import\("(?<file>\.[^"]+)"\)\)\.(?<names>\w+)/g),
  ];
  return imports.flatMap(({ groups }) => {
    const from = join(dirname(path), groups!["file"]!);
    return [...groups!["names"]!.matchAll(/(?:^|,)\s*(?:type )?(\w+)/g)]
      .map(([, name]) => `${from} ${name}`);
  });
}

Deno.test("no cast hides a type", () => {
  for (const { path, text } of SOURCES) {
    assert.doesNotMatch(text, /^(?! *(\*|\/)).*\bas (never|any)\b/m, path);
  }
});

Deno.test("file names are nouns in snake_case, and none is a grab bag", () => {
  for (const { path } of SOURCES) {
    const name = path.split("/").at(-1)!;
    assert.match(name, /^[a-z][a-z0-9_]*\.ts$/, path);
    assert.doesNotMatch(name, /helper|util|manager|service|common|handler|processor|misc/, path);
  }
});

Deno.test("every package is pinned exactly, and every one is used", () => {
  const { imports } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const used = new Set(SOURCES.flatMap(({ packages }) => packages));
  for (const [name, specifier] of Object.entries<string>(imports)) {
    assert.match(specifier, /^npm:.+@\d+\.\d+\.\d+$/, name);
    assert.ok(used.has(name), `${name} is not used`);
  }
});

Deno.test("tasks and docs never ask for every permission", () => {
  const docs = ["README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md", "CHANGELOG.md"];
  for (const path of ["deno.json", ".ci/run", ...docs, ...filesBelow("docs")]) {
    const text = Deno.readTextFileSync(join(ROOT, path));
    assert.doesNotMatch(text, /(^|\s)(-A|--allow-all)(\s|"|$)/m, path);
  }
});

Deno.test("the task for the gateway gives the runtime the same flags as everything else", () => {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${ROOT}/deno.json`));
  for (const flag of RUNTIME_FLAGS) assert.ok(tasks.gateway.command.includes(` ${flag} `), flag);
});

Deno.test("the changelog's sections come in one order", () => {
  const sections = ["Upgrade notes", "Added", "Changed", "Fixed", "Security"];
  const [, ...versions] = Deno.readTextFileSync(join(ROOT, "CHANGELOG.md")).split(/^## /m);
  assert.ok(versions.length > 0);
  for (const version of versions) {
    const found = [...version.matchAll(/^### (.*)$/gm)].map(([, name]) => name!);
    assert.deepEqual(found, sections.filter((name) => found.includes(name)));
  }
});

Deno.test("the changelog begins with the version in deno.json", () => {
  const { version } = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json")));
  const changelog = Deno.readTextFileSync(join(ROOT, "CHANGELOG.md"));
  assert.equal(/^## (\S+)/m.exec(changelog)?.[1], version);
});
