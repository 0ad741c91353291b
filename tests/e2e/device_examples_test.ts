/** The devices that the docs show, against a real gateway, broker and backend. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { fileURLToPath } from "node:url";
import mqtt from "mqtt";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { writeCommand } from "../../src/core/command.ts";
import { importSecret, sign } from "../../src/core/signature.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { commandTopic } from "../../src/core/topic.ts";
import { withFolder } from "../support/with_folder.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const DEVICE_ID = "sensor_001";
const READING = '{"temperature":22.5,"humidity":60}';
const PYTHON = ["python3", "/usr/bin/python3"]
  .find((path) => succeeds(path, "-c", "import paho.mqtt.client"));
const HAS_LIBMOSQUITTO = succeeds(
  "gcc",
  ...["-fsyntax-only", "-include", "mosquitto.h", "-include", "openssl/hmac.h"],
  ...["-x", "c", "/dev/null"],
);

Deno.test({
  name: nameOf("Python", PYTHON ? "" : "no python3 with paho-mqtt"),
  ignore: PYTHON === undefined,
  fn: () => plays((folder) => ({ path: PYTHON!, args: [source("python/device.py"), folder] })),
});

Deno.test({
  name: nameOf("JavaScript", ""),
  fn: () =>
    plays((folder) => ({
      path: Deno.execPath(),
      args: [
        ...["run", "-q", "--no-prompt", "--allow-net", "--allow-env", `--allow-read=${folder}`],
        ...[source("javascript/device.mjs"), folder],
      ],
    })),
});

Deno.test({
  name: nameOf("C", HAS_LIBMOSQUITTO ? "" : "no gcc, libmosquitto-dev or libssl-dev"),
  ignore: !HAS_LIBMOSQUITTO,
  fn: () =>
    withFolder(async (build) => {
      const program = `${build}/device`;
      const args = [source("c/device.c"), "-lmosquitto", "-lcrypto", "-o", program];
      await ChildProcess.run({ path: "gcc", args });
      // It looks for its files in the current folder.
      const start = 'cd "$0" && exec "$@"';
      await plays((folder, port) => ({
        path: "/bin/sh",
        args: ["-c", start, folder, program, DEVICE_ID, "localhost", `${port}`],
      }));
    }),
});

Deno.test({
  name: "the device in C says what is wrong: another folder, no such host, a closed port",
  ignore: !HAS_LIBMOSQUITTO,
  fn: () =>
    withFolder(async (folder) => {
      const program = `${folder}/device`;
      const args = [source("c/device.c"), "-lmosquitto", "-lcrypto", "-o", program];
      await ChildProcess.run({ path: "gcc", args });
      const says = (host: string) => {
        const args = [DEVICE_ID, host, "1"];
        const { code, stderr } = new Deno.Command(program, { args, cwd: folder }).outputSync();
        return [code, new TextDecoder().decode(stderr).trim()];
      };
      const usage = "Usage: device ID HOST PORT, in the device's folder, which has its secret";
      assert.deepEqual(says("localhost"), [2, usage]);
      for (const name of ["secret", "ca.crt", "client.crt", "client.key"]) {
        await Deno.writeTextFile(`${folder}/${name}`, "x");
      }
      assert.deepEqual(says("localhost"), [1, "localhost port 1: Connection refused"]);
      assert.deepEqual(says("host.invalid"), [1, "host.invalid port 1: Lookup error."]);
    }),
});

function nameOf(language: string, missing: string): string {
  const claim = `the device in ${language} sends a signed reading, hears the answer and obeys ` +
    "genuine, fresh commands only";
  return missing === "" ? claim : `${claim} (skipped: ${missing})`;
}

function source(name: string): string {
  return fileURLToPath(new URL(`../../examples/device/${name}`, import.meta.url));
}

function succeeds(path: string, ...args: string[]): boolean {
  try {
    const options = { args, stdin: "null", stdout: "null", stderr: "null" } as const;
    return new Deno.Command(path, options).outputSync().success;
  } catch {
    return false;
  }
}

/** Runs a device on a live site through all that it can do. */
async function plays(command: (folder: string, port: number) => ProgramCommand): Promise<void> {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const device = new ChildProcess(command(folder, site.config.devices.port));
    try {
      await prints(device, 'answer: {"status":"received"}');
      assert.deepEqual(site.backend.received.map(({ text }) => text), [READING]);
      await sendCommand(site, '{"set": 22.0, "text": "é\\u00e9"}');
      await prints(device, 'command: {"set":22.0,"text":"é\\u00e9"}');
      await publishBadCommands(site, await Deno.readTextFile(`${folder}/secret`));
      await sendCommand(site, '{"last":1}');
      await prints(device, 'command: {"last":1}');
      assert.doesNotMatch(device.stdout, /forged|stale/);
      assert.equal(await site.metric("accepted_total"), 1);
    } finally {
      await device.stop();
    }
  });
}

async function prints(device: ChildProcess, line: string): Promise<void> {
  await poll(`the device to print ${line}`, async () => {
    if (device.stdout.split("\n").includes(line)) return true;
    if (device.running) return false;
    await device.exited;
    throw new Error(`The device ended:\n${device.stdout}${device.stderr}`);
  });
}

async function sendCommand(site: LiveSite, json: string): Promise<void> {
  const response = await site.api(`/command/${DEVICE_ID}`, { method: "POST", body: json });
  assert.equal((await response.json()).delivery, "queued");
}

/** Commands that a device must not obey, from somebody who got hold of the gateway's connection. */
async function publishBadCommands(site: LiveSite, secret: string): Promise<void> {
  const nowSeconds = Math.floor(Date.now() / 1000);
  const forged = await signedCommand('"forged"', { secret: "another", timestamp: nowSeconds });
  const stale = await signedCommand('"stale"', { secret, timestamp: nowSeconds - 400 });
  const early = await signedCommand('"stale"', { secret, timestamp: nowSeconds + 400 });
  const changed = (await signedCommand('"chosen"', { secret, timestamp: nowSeconds }))
    .replace("chosen", "forged");
  const nonsense = ["", "{}", "\u0000", '"forged"', forged.slice(1), forged.slice(0, -1)];
  const client = await gatewayClient(site);
  for (const message of [forged, stale, early, changed, ...nonsense]) {
    await client.publishAsync(commandTopic(DEVICE_ID), message, { qos: 1 });
  }
  await client.publishAsync(commandTopic(DEVICE_ID), Buffer.from([0xff, 0xfe]), { qos: 1 });
  await client.endAsync();
}

async function signedCommand(
  json: string,
  { secret, timestamp }: { secret: string; timestamp: number },
): Promise<string> {
  const payload = new TextEncoder().encode(json);
  const fields = {
    deviceId: DEVICE_ID,
    timestamp: `${timestamp}`,
    messageId: crypto.randomUUID(),
  };
  const signature = await sign((await importSecret(secret))!, signingInput(fields, payload));
  return new TextDecoder().decode(writeCommand({ ...fields, payload, signature }));
}

async function gatewayClient(site: LiveSite): Promise<mqtt.MqttClient> {
  const { host, port, ca, certificate, key } = site.config.broker;
  return await mqtt.connectAsync({
    protocol: "mqtts",
    host,
    port,
    ca: await Deno.readTextFile(ca),
    cert: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
    clientId: "somebody-else",
    timerVariant: "native",
  });
}
