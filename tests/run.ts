/** Runs all tests and ends with one line that counts them: `N passed, N failed`. */

import { ensureMosquitto } from "../src/demo/sandbox/broker_process.ts";

const mosquitto = await ensureMosquitto();
if (!mosquitto.ok) {
  console.error(`error: ${mosquitto.fault}\nhint: ${mosquitto.hint}`);
  Deno.exit(1);
}

const args = Deno.args.length > 0 ? Deno.args : ["tests"];
const run = new Deno.Command(Deno.execPath(), {
  args: ["test", "-q", "--no-prompt", "-P=test", ...args],
  stdout: "piped",
  stderr: "inherit",
}).spawn();

const decoder = new TextDecoder();
let output = "";
for await (const chunk of run.stdout) {
  Deno.stdout.writeSync(chunk);
  output += decoder.decode(chunk, { stream: true });
}
const { code } = await run.status;

// deno-lint-ignore no-control-regex
const plain = output.replaceAll(/\u001b\[[0-9;]*m/g, "");
const summary =
  /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?:.*?(\d+) ignored)?/m
    .exec(plain);
const [, passed = "0", failed = "0", skipped] = summary ?? [];
// A run that ended badly without a failed test, as by a type error, has failed all the same.
const failures = code !== 0 && failed === "0" ? "1" : failed;
console.log(`${passed} passed, ${failures} failed${skipped ? `, ${skipped} skipped` : ""}`);
Deno.exit(code);
