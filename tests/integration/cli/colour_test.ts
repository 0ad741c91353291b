/** Colour: on a terminal whose user has not set NO_COLOR, and nowhere else. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** Where an escape code is written: all are told whether they may. */
const WRITERS = ["src/cli/watch.ts", "src/demo/narrator.ts", "src/log/log.ts"];

/** An escape character, as source text may write it. */
const ESCAPE = /\\x1b|\\u001b|\\u\{1b\}|\\033|\\e\[/i;

/** What styles text without an escape character in the source. */
const STYLERS = /styleText|npm:chalk|%c|console\.(dir|table)/;

function filesBelow(folder: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${folder}`)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesBelow(`${folder}/${name}`) : [`${folder}/${name}`]
  );
}

Deno.test("only what asks whether it may writes escape codes", () => {
  const files = [...filesBelow("src"), ...filesBelow("examples"), "main.ts"];
  const texts = files.map((path) => ({ path, text: Deno.readTextFileSync(`${ROOT}/${path}`) }));
  const found = texts.filter(({ text }) => ESCAPE.test(text) || STYLERS.test(text));
  assert.deepEqual(found.map(({ path }) => path).sort(), WRITERS);
  const asking = texts.filter(({ text }) => /noColor|NO_COLOR/.test(text)).map(({ path }) => path);
  assert.deepEqual(asking.sort(), ["src/build/tool.ts", "src/cli/terminal.ts"]);
});

/** What `hasColour` says of stdout in a process of its own, on a terminal or in a pipe. */
async function answer(options: { terminal: boolean; noColor: boolean }): Promise<string> {
  const terminal = new URL("../../../src/cli/terminal.ts", import.meta.url).href;
  const code = `import { hasColour } from "${terminal}"; ` +
    `await Deno.stdout.write(new TextEncoder().encode("colour: " + hasColour(Deno.stdout)));`;
  const command = [Deno.execPath(), "eval", "--no-check", `'${code}'`].join(" ");
  const [program, ...args] = options.terminal
    ? ["script", "-qec", command, "/dev/null"]
    : ["sh", "-c", command];
  const { NO_COLOR: _, ...environment } = Deno.env.toObject();
  const { stdout } = await new Deno.Command(program!, {
    args,
    clearEnv: true,
    env: { ...environment, ...options.noColor && { NO_COLOR: "1" } },
    stdin: "null",
  }).output();
  return new TextDecoder().decode(stdout).match(/colour: (\w+)/)?.[1] ?? "no answer";
}

Deno.test("there is colour on a terminal without NO_COLOR, and not in a pipe", async () => {
  assert.equal(await answer({ terminal: true, noColor: false }), "true");
  assert.equal(await answer({ terminal: true, noColor: true }), "false");
  assert.equal(await answer({ terminal: false, noColor: false }), "false");
});
