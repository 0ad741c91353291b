import assert from "node:assert/strict";
import { gatewayCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { withLiveSite } from "../support/live_site.ts";

const INTERRUPT = "\x03";
const TIME = "\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z";

/** What `run` shows on a terminal of its own, from its start to Ctrl+C after it is ready. */
async function shownOnTerminal(
  directory: string,
  environment: Readonly<Record<string, string>>,
): Promise<{ code: number; shown: string }> {
  const { path, args } = gatewayCommand(directory);
  const { NO_COLOR: _, ...inherited } = Deno.env.toObject();
  // Without `exec` some shells stay in between, and it is their end by Ctrl+C that is reported.
  const command = ["exec", ...[path, ...args].map((word) => `'${word}'`)].join(" ");
  const child = new Deno.Command("script", {
    args: ["-qec", command, "/dev/null"],
    clearEnv: true,
    env: { ...inherited, ...environment },
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let shown = "";
  const reading = child.stdout.pipeThrough(new TextDecoderStream())
    .pipeTo(new WritableStream({ write: (text) => void (shown += text) }));
  const keyboard = child.stdin.getWriter();
  try {
    await poll("it to be ready", () => /^ready\r?$/m.test(shown), { timeoutMs: 20_000 });
  } finally {
    await keyboard.write(new TextEncoder().encode(INTERRUPT)).catch(() => {}); // it has ended
  }
  const { code } = await child.status;
  await reading;
  await keyboard.close().catch(() => {}); // its reader is gone
  return { code, shown };
}

Deno.test("on a terminal the log is lines of text, in colour unless NO_COLOR is set, or JSON where that is asked for", async () => {
  await withLiveSite(async (site) => {
    const { directory } = site.layout;
    const said = "Taking messages from 0 devices event=gateway_started version=";
    const coloured = await shownOnTerminal(directory, {});
    assert.equal(coloured.code, 0, coloured.shown);
    assert.match(coloured.shown, new RegExp(`^${TIME} \x1b\\[32mINFO   \x1b\\[0m ${said}`, "m"));
    const plain = await shownOnTerminal(directory, { NO_COLOR: "1" });
    assert.equal(plain.code, 0, plain.shown);
    assert.match(plain.shown, new RegExp(`^${TIME} INFO    ${said}`, "m"));
    assert.ok(!plain.shown.includes("\x1b"));
    const json = await shownOnTerminal(directory, { SECURE_IOT_GATEWAY_LOG_FORMAT: "json" });
    const lines = json.shown.split(/\r?\n/).filter((line) => line.startsWith("{"));
    assert.ok(lines.some((line) => JSON.parse(line).event === "gateway_started"), json.shown);
    assert.ok(!json.shown.includes("\x1b"));
  }, { start: false });
});
