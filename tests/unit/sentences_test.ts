/**
 * What an operator reads: doctor's findings and remedies, errors, hints, log lines and the help.
 * `SENTENCES=1 deno test -P=test tests/unit/sentences_test.ts` prints all of them, to be read.
 *
 * The rules are:
 * - a sentence has at most 200 characters, no full stop at its end (it is a fragment by design), and none of the phrases below;
 * - every remedy of the doctor names a command, a file or a setting, or what to look at.
 */

import assert from "node:assert/strict";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { SAMPLES } from "../../src/build/event_samples.ts";
import { createProgram } from "../../src/cli/program.ts";
import { systemFault } from "../../src/config/system_fault.ts";
import { EventLog } from "../../src/log/event_log.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CHARS_MAX = 200;
/** Their text is for operators; the demo tells a story, and the store's literals are mostly SQL. */
const FOLDERS = ["src/cli", "src/doctor", "src/site"];

const BANNED =
  /\banew\b|whoever|(?<!there )\bis no (?!longer)|\bstands?\b|all the same|for good\b|goes by|of itself|\btake it out|\blet in\b|fault of the program|what it promises|\bnobody\b|for ever|in good order|\bvouch/i;
const ACTIONABLE =
  /systemctl|journalctl|secure-iot-gateway|gateway\.toml|mosquitto\.conf|secrets\.key|chmod|chown|df -h|timedatectl|device r(otate|estore)|audit export|backup|doctor|access list|disk space|Replace the file|certificate/;

interface Sentence {
  /** File and line, or what prints it. */
  readonly place: string;
  readonly text: string;
}

Deno.test("every sentence an operator can meet is short, and without a banned phrase", () => {
  const sentences = [...literals(), ...helpOf(createProgram()), ...logLines()];
  assert.ok(sentences.length > 400, `only ${sentences.length} were found`);
  if (Deno.env.get("SENTENCES")) {
    for (const { place, text } of sentences) console.log(`${place}: ${text}`);
  }
  const faults = sentences.filter(({ place, text }) =>
    text.length > CHARS_MAX || BANNED.test(text) || (/[^.…]\.$/.test(text) && !isFileText(place))
  );
  assert.deepEqual(faults, []);
});

Deno.test("every remedy of the doctor names a command, a file or a setting", () => {
  const found = remedies();
  assert.ok(found.length > 25, `only ${found.length} were found`);
  const idle = found.filter(({ text }) => !ACTIONABLE.test(text));
  assert.deepEqual(idle, []);
});

Deno.test("an error of the disk is not called a bug", () => {
  const hintFor = (error: Error) => systemFault(error)?.hint;
  assert.match(hintFor(new Error("No space left on device (os error 28)"))!, /^Free disk space/);
  assert.match(hintFor(new Error("database or disk is full"))!, /^Free disk space/);
  assert.match(
    hintFor(new Deno.errors.PermissionDenied("Permission denied (os error 13)"))!,
    /sudo/,
  );
  assert.equal(hintFor(new TypeError("x is undefined")), undefined);
});

/** Comments of generated broker files are whole sentences. */
function isFileText(place: string): boolean {
  return place.startsWith("src/site/mosquitto/");
}

/** Every literal of the folders that has a space in it, comments and imports left out. */
function literals(): Sentence[] {
  return FOLDERS.flatMap(sourcesBelow).flatMap(({ path, text }) =>
    text.split("\n").flatMap((line, i) => {
      if (/^\s*(\/\/|\/?\*|import |\} from)/.test(line)) return [];
      const found = line.matchAll(/"((?:[^"\\]|\\.)*)"|`([^`]*)`|'([^']*)'/g);
      return [...found].map(([, quoted, template, single]) => ({
        place: `${path}:${i + 1}`,
        text: (quoted ?? template ?? single)!.trim(),
      })).filter(({ text }) => /\w{2}\S* |"? \w{2}/.test(text));
    })
  );
}

/** The doctor's remedies: `remedy`, a constant, or the last argument of fail and warn. */
function remedies(): Sentence[] {
  const literal = '("[^"]+"|`[^`]+`)';
  const patterns = [
    new RegExp(`remedy(?::| =)\\s*${literal}`, "g"),
    new RegExp(`REMEDY =\\s*${literal}`, "g"),
    new RegExp(`(?:fail|warn)\\)?\\([^;]*?,\\s*${literal},?\\s*\\)`, "g"),
  ];
  return sourcesBelow("src/doctor").flatMap(({ path, text }) =>
    patterns.flatMap((pattern) =>
      [...text.matchAll(pattern)].map(([, remedy]) => ({ place: path, text: remedy! }))
    )
  );
}

function helpOf(command: Command): Sentence[] {
  const place = `help of ${command.name()}`;
  return [
    { place, text: command.description() },
    ...command.options.map(({ description }) => ({ place, text: description })),
    ...command.commands.flatMap(helpOf),
  ];
}

function logLines(): Sentence[] {
  const lines: Sentence[] = [];
  const log = new EventLog((_level, event, { message }) => {
    lines.push({ place: `log line ${event}`, text: message });
  }, { accepted: true });
  for (const event of Object.values(SAMPLES)) log.write(event);
  log.flush();
  return lines;
}

function sourcesBelow(folder: string): { path: string; text: string }[] {
  return [...Deno.readDirSync(join(ROOT, folder))].flatMap(({ name, isDirectory }) => {
    const path = join(ROOT, folder, name);
    if (isDirectory) return sourcesBelow(relative(ROOT, path));
    return name.endsWith(".ts")
      ? [{ path: relative(ROOT, path), text: Deno.readTextFileSync(path) }]
      : [];
  });
}
