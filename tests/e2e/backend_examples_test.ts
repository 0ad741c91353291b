/** The backends that the docs show, behind a real gateway and broker. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { WebhookSigner } from "../../src/core/webhook_signature.ts";
import { freePorts } from "../support/free_ports.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const DEVICE_ID = "sensor_001";
const READING = '{"temperature":31.50}';
const PYTHON = ["python3", "/usr/bin/python3"].find(hasVersion);

/** Node itself where it is installed: Deno takes what older ones do not know. */
const NODE: readonly string[] = hasVersion("node")
  ? ["node"]
  : [Deno.execPath(), "run", "-q", "--no-prompt", "--allow-net", "--allow-read"];

Deno.test({
  name: nameOf("Node", ""),
  fn: () => serves((args) => inNode("backend.mjs", args)),
});

Deno.test({
  name: nameOf("Python", PYTHON ? "" : "no python3"),
  ignore: PYTHON === undefined,
  fn: () => serves((args) => ({ path: PYTHON!, args: [source("python/backend.py"), ...args] })),
});

Deno.test("the backends that check signatures take what is signed, once, and nothing else", async () => {
  const node = (args: readonly string[]) => inNode("signed.mjs", args);
  const python = (args: readonly string[]) => ({
    path: PYTHON!,
    args: [source("python/signed.py"), ...args],
  });
  for (const command of [node, ...(PYTHON === undefined ? [] : [python])]) {
    await checksSignatures(command);
  }
});

Deno.test("the backend that takes batches prints each reading, and its answer reaches the device", async () => {
  const [port] = freePorts(1) as [number];
  const settings = { BACKEND_URL: `http://127.0.0.1:${port}`, BACKEND_BATCH_MAX: "100" };
  await withLiveSite(async (site) => {
    const backend = new ChildProcess(inNode("batches.mjs", [`${port}`]));
    try {
      await prints(backend, "listening");
      const device = await site.device(DEVICE_ID);
      const answer = await device.response((await device.send(READING)).messageId);
      assert.equal(answer.text, '{"status":"received"}');
      await prints(backend, `reading: ${DEVICE_ID} {"temperature":31.5}`);
    } finally {
      await backend.stop();
    }
  }, { settings });
});

function inNode(name: string, args: readonly string[]): ProgramCommand {
  const [path = "", ...flags] = NODE;
  return { path, args: [...flags, source(`node/${name}`), ...args] };
}

/** Sends a signed reading, the same again, and one that is not signed as it should be. */
async function checksSignatures(
  command: (args: readonly string[]) => ProgramCommand,
): Promise<void> {
  const [port] = freePorts(1) as [number];
  const url = `http://127.0.0.1:${port}`;
  const settings = { BACKEND_URL: url, BACKEND_SIGNING_KEY_FILE: "backend.signing" };
  await withLiveSite(async (site) => {
    const file = `${site.layout.directory}/backend.signing`;
    const keys = [1, 2].map((seed) => new Uint8Array(32).fill(seed));
    const text = keys.map((key) => `whsec_${key.toBase64()}\n`).join("");
    await Deno.writeTextFile(file, text, { mode: 0o600 });
    await site.startGateway();
    const backend = new ChildProcess(command([`${port}`, file]));
    try {
      await prints(backend, "listening");
      const device = await site.device("line.1");
      const answer = await device.response((await device.send(READING)).messageId);
      assert.equal(answer.status, "204");
      await prints(backend, `reading: line%2E1 ${READING}`);
      const entry = { deviceId: "a", messageId: crypto.randomUUID() };
      const payload = new TextEncoder().encode(READING);
      const nowSeconds = Math.floor(Date.now() / 1000);
      const sign = (seconds: number) =>
        new WebhookSigner([keys[1]!]).headers({ ...entry, payload }, seconds);
      const post = async (headers: Record<string, string>, body = READING) => {
        const response = await fetch(url, { method: "POST", headers, body });
        await response.bytes();
        return response.status;
      };
      const good = await sign(nowSeconds);
      assert.deepEqual([await post(good), await post(good)], [204, 204]);
      assert.equal(await post(good, READING.replace("31", "13")), 401);
      assert.equal(await post({ ...good, "webhook-id": "b:1" }), 401);
      assert.equal(await post(await sign(nowSeconds - 400)), 401);
      assert.equal(await post({}), 401);
      assert.equal(backend.stdout.match(/^reading: /gm)!.length, 2);
    } finally {
      await backend.stop();
    }
  }, { settings, start: false });
}

function nameOf(language: string, missing: string): string {
  const claim = `the backend for ${language} takes a reading once, answers each repetition and ` +
    "sends a command";
  return missing === "" ? claim : `${claim} (skipped: ${missing})`;
}

function source(name: string): string {
  return fileURLToPath(new URL(`../../examples/backend/${name}`, import.meta.url));
}

function hasVersion(path: string): boolean {
  try {
    return new Deno.Command(path, { args: ["--version"] }).outputSync().success;
  } catch {
    return false;
  }
}

/** Runs a backend on a live site through all that it can do. */
async function serves(command: (args: readonly string[]) => ProgramCommand): Promise<void> {
  const [port] = freePorts(1) as [number];
  const url = `http://127.0.0.1:${port}`;
  await withLiveSite(async (site) => {
    const { api } = site.config;
    const { gatewayCa, apiKey } = site.layout;
    const args = [`${port}`, `https://localhost:${api.port}`, gatewayCa.certificate, apiKey];
    const backend = new ChildProcess(command(args));
    try {
      await prints(backend, "listening");
      await playDevice(site, backend, url);
    } finally {
      await backend.stop();
    }
  }, { settings: { BACKEND_URL: url } });
}

async function playDevice(site: LiveSite, backend: ChildProcess, url: string): Promise<void> {
  const device = await site.device(DEVICE_ID);
  const { messageId } = await device.send(READING);
  const answer = await device.response(messageId);
  assert.equal(answer.text, '{"status":"received"}');
  await prints(backend, `reading: ${DEVICE_ID} ${READING}`);
  assert.equal((await device.command()).payload, '{"fan":"on"}');
  await prints(backend, "command: 202");

  const again = await fetch(`${url}/device/${DEVICE_ID}/data`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": messageId },
    body: READING,
  });
  assert.equal(again.status, 200);
  assert.equal(await again.text(), '{"status":"received"}');
  const cold = await device.send('{"temperature":4}');
  await device.response(cold.messageId);
  await prints(backend, `reading: ${DEVICE_ID} {"temperature":4}`);
  for (const odd of ["22.50", "null", "[31]", '"hot"']) {
    await device.response((await device.send(odd)).messageId);
    await prints(backend, `reading: ${DEVICE_ID} ${odd}`);
  }
  assert.doesNotMatch(backend.stderr, /Error/);
  assert.equal(backend.stdout.match(/^reading: /gm)!.length, 6);
  assert.equal(backend.stdout.match(/^command: /gm)!.length, 1);
}

async function prints(backend: ChildProcess, line: string): Promise<void> {
  await poll(`the backend to print ${line}`, async () => {
    if (backend.stdout.split("\n").includes(line)) return true;
    if (backend.running) return false;
    await backend.exited;
    throw new Error(`The backend ended:\n${backend.stdout}${backend.stderr}`);
  });
}
