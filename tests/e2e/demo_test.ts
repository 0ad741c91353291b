import assert from "node:assert/strict";
import { join } from "node:path";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { ensureMosquitto } from "../../src/demo/sandbox/broker_process.ts";
import { programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { findPostgres } from "../../src/demo/sandbox/postgres_server.ts";
import { poll } from "../../src/time/poll.ts";
import { assertJsonForm } from "../support/json_form.ts";

const LIMIT_MS = 30_000;
const NODES_LIMIT_MS = 60_000;

/** What the story must have shown, in this order. */
const LANDMARKS = [
  '{"temperature":22.50,"counter":12345678901234567890}',
  '{"status":"received"}',
  '202 {"device_id":"sensor_001"',
  "Refused: Rejected message from sensor_001: Replayed message",
  "Refused: Rejected message from sensor_001: Timestamp out of range",
  "Refused: Rejected message from sensor_001: Invalid signature",
  "Refused: Rejected message: device_id mismatch with TLS identity",
  "PUBACK, reason code 0x87",
  "did not return a certificate",
  "secure_iot_gateway_pending 10",
  "The gateway is killed with SIGKILL",
  "10 POSTs",
  "It waits on the gateway's disk",
  "The gateway is killed with SIGKILL again",
  "The backend asks again with the same key",
  '"state":"done","result":{"door":"open"}',
  '"withdrawn":false',
  "The backend is told as soon as the device has said it",
  "drains and ends with exit code 0",
  "Checks: 30 ok, 0 failed, in",
  "Result: everything was as told",
];

Deno.test("demo tells the whole story in time and leaves nothing behind", async () => {
  await withDemo([], async (demo, folder) => {
    const startedMs = performance.now();
    const { code } = await demo.exited;
    assert.equal(code, 0, demo.stdout + demo.stderr);
    assert(performance.now() - startedMs < LIMIT_MS);
    assertInOrder(demo.stdout.replaceAll(/\n {5}\| /g, " "), LANDMARKS);
    // A path is never broken: it is to be copied.
    assert.deepEqual(tooLong(demo.stdout).filter((line) => !line.startsWith("   DIR is /")), []);
    assert(!demo.stdout.includes("FAILED"), demo.stdout);
    assert(!/[^\n\x20-\x7e…]/.test(demo.stdout), "plain text where stdout is no terminal");
    assert.equal(demo.stderr, "");
    await assertNothingLeft(folder);
  });
});

Deno.test("demo --json prints what was checked, and nothing else", async () => {
  await withDemo(["--json"], async (demo) => {
    assert.equal((await demo.exited).code, 0, demo.stdout + demo.stderr);
    const result = JSON.parse(demo.stdout);
    assertJsonForm(result, "demo");
    assert.deepEqual([result.claims.length, result.failed], [30, 0]);
  });
});

Deno.test({
  name: "demo --nodes 2 tells the story of two gateways on one store, in time",
  ignore: findPostgres() === undefined,
  fn: async () => {
    await withDemo(["--nodes", "2"], async (demo, folder) => {
      const startedMs = performance.now();
      const { code } = await demo.exited;
      assert.equal(code, 0, demo.stdout + demo.stderr);
      assert(performance.now() - startedMs < NODES_LIMIT_MS);
      assert.match(demo.stdout, /^Checks: 12 ok, 0 failed, in/m);
      assert.deepEqual(tooLong(demo.stdout).filter((line) => !line.startsWith("   DIR is /")), []);
      assert.equal(demo.stderr, "");
      await assertNothingLeft(folder);
    });
  },
});

Deno.test("demo --keep stays until a signal, then ends with exit 0 and leaves nothing", async () => {
  await withDemo(["--keep"], async (demo, folder) => {
    const isCopied = (line: string) => /^ {3}(site|cd|gateway\(\)|DIR) /.test(line);
    const api = await poll("the invitation to try", () => {
      return /API +(https:\S+)\n[^]*\/command\/sensor_002\n/.exec(demo.stdout)?.[1];
    }, { timeoutMs: LIMIT_MS });
    assert.equal(await statusOf(`${api}/readyz`, folder), 200);
    assert.deepEqual(tooLong(demo.stdout).filter((line) => !isCopied(line)), []);
    demo.kill("SIGINT");
    assert.equal((await demo.exited).code, 0, demo.stdout + demo.stderr);
    await assertNothingLeft(folder);
  });
});

Deno.test("demo that is interrupted says so, exits 1 and leaves nothing", async () => {
  await withDemo([], async (demo, folder) => {
    await poll("the second scene", () => demo.stdout.includes("\n2. "), { timeoutMs: LIMIT_MS });
    demo.kill("SIGTERM");
    assert.equal((await demo.exited).code, 1, demo.stdout);
    assert.equal(demo.stderr, "error: The demo was interrupted\n");
    await assertNothingLeft(folder);
  });
});

/** Runs the demo with a temporary folder of its own. */
async function withDemo(
  args: readonly string[],
  test: (demo: ChildProcess, folder: string) => Promise<void>,
): Promise<void> {
  const mosquitto = await ensureMosquitto();
  assert(mosquitto.ok);
  const folder = await Deno.makeTempDir();
  await Deno.chmod(folder, 0o755);
  const environment = { TMPDIR: folder };
  const demo = new ChildProcess({ ...programCommand("demo", ...args), environment });
  try {
    await test(demo, folder);
  } finally {
    await demo.stop();
    await Deno.remove(folder, { recursive: true });
  }
}

function tooLong(text: string): string[] {
  return text.split("\n").filter((line) => line.length > 80);
}

function assertInOrder(text: string, landmarks: readonly string[]): void {
  let at = 0;
  for (const landmark of landmarks) {
    at = text.indexOf(landmark, at);
    assert(at >= 0, `"${landmark}" is missing, or not in its place, in:\n${text}`);
  }
}

/** No file of the demo, and no process that was started with one. */
async function assertNothingLeft(folder: string): Promise<void> {
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  assert.equal(await processesNaming(folder), "");
}

/** The processes whose command line names `folder`; none where there is no /proc. */
async function processesNaming(folder: string): Promise<string> {
  const script = 'printf %s "$FOLDER" | grep -alsF -f - /proc/[0-9]*/cmdline || true';
  const search = { path: "/bin/sh", args: ["-c", script], environment: { FOLDER: folder } };
  return await ChildProcess.run(search);
}

async function statusOf(url: string, folder: string): Promise<number> {
  const [{ name } = { name: "" }] = Deno.readDirSync(folder);
  const authority = await Deno.readTextFile(join(folder, name, "site/certs/gateway-ca.crt"));
  using client = Deno.createHttpClient({ caCerts: [authority] });
  const response = await fetch(url, { client });
  await response.body?.cancel();
  return response.status;
}
