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
import { reaches } from "../support/command_states.ts";
import { withFolder } from "../support/with_folder.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const DEVICE_ID = "sensor_001";
const DONE = { state: "done" };
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
  fn: () =>
    plays((folder) => ({ path: PYTHON!, args: [source("python/device.py"), folder] }), {
      keepsBy: "rename",
    }),
});

Deno.test({
  name: nameOf("JavaScript", ""),
  fn: () =>
    plays((folder) => ({
      path: Deno.execPath(),
      args: [
        ...["run", "-q", "--no-prompt", "--allow-net", "--allow-env", `--allow-read=${folder}`],
        `--allow-write=${folder}`,
        ...[source("javascript/device.mjs"), folder],
      ],
    }), { keepsBy: "rename" }),
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
  const claim = `the device in ${language} sends a signed reading, hears the answer, obeys each ` +
    "genuine, fresh command once, and acknowledges it, also after a restart";
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
async function plays(
  command: (folder: string, port: number) => ProgramCommand,
  options: { readonly keepsBy?: "rename" } = {},
): Promise<void> {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const secret = await Deno.readTextFile(`${folder}/secret`);
    const { port } = site.config.devices;
    const listener = await ackListener(site);
    let device = new ChildProcess(command(folder, port));
    try {
      await prints(device, 'answer: {"status":"received"}');
      assert.deepEqual(site.backend.received.map(({ text }) => text), [READING]);
      const messageId = await sendCommand(site, '{"set": 22.0, "text": "é\\u00e9"}');
      await prints(device, 'command: {"set":22.0,"text":"é\\u00e9"}');
      await reaches(site, messageId, "done");
      await publishBadCommands(site, secret);
      await listener.says(messageId, DONE, 1);
      await publishCopy(site, secret, messageId);
      await listener.says(messageId, DONE, 2);

      device.kill("SIGKILL");
      await device.exited;
      assert.doesNotMatch(device.stdout, /forged|stale|copy/);
      await publishCopy(site, secret, messageId);
      device = new ChildProcess(command(folder, port));
      await listener.says(messageId, DONE, 3);
      const last = await sendCommand(site, '{"last":1}');
      await prints(device, 'command: {"last":1}');
      await reaches(site, last, "done");
      assert.doesNotMatch(device.stdout, /copy/);
      await site.received(2);
      assert.equal(await site.metric("accepted_total"), 2);
      assert.deepEqual(site.log.filter(({ event }) => event === "message_rejected"), []);
      if (options.keepsBy === "rename") {
        await Deno.mkdir(`${folder}/commands.json.new`); // so that nothing can be kept
        await sendCommand(site, '{"unkept":1}');
        await poll("the device to end", () => !device.running);
        assert.doesNotMatch(device.stdout, /unkept/);
      }
    } finally {
      await listener.close();
      await device.stop();
    }
  });
}

/** Hears what devices say of their commands, beside the gateway. */
async function ackListener(site: LiveSite) {
  const client = await gatewayClient(site, "listener");
  const heard: { message_id: string; payload: unknown }[] = [];
  client.on("message", (_, message) => heard.push(JSON.parse(message.toString())));
  await client.subscribeAsync("device/+/ack", { qos: 1 });
  const wordsOn = (messageId: string) =>
    heard.filter((one) => one.message_id === messageId).map(({ payload }) => payload);
  return {
    says: (messageId: string, word: unknown, times: number) =>
      poll(`${times} words on the command`, () => {
        const words = wordsOn(messageId);
        if (words.length < times) return false;
        assert.deepEqual(words, Array(times).fill(word));
        return true;
      }),
    close: () => client.endAsync(),
  };
}

/** A further copy of a command, signed again: what it asks for must not be done. */
async function publishCopy(site: LiveSite, secret: string, messageId: string): Promise<void> {
  const timestamp = Math.floor(Date.now() / 1000);
  const copy = await signedCommand('"copy"', { secret, timestamp, messageId });
  const client = await gatewayClient(site, "somebody-else");
  await client.publishAsync(commandTopic(DEVICE_ID), copy, { qos: 1 });
  await client.endAsync();
}

async function prints(device: ChildProcess, line: string): Promise<void> {
  await poll(`the device to print ${line}`, async () => {
    if (device.stdout.split("\n").includes(line)) return true;
    if (device.running) return false;
    await device.exited;
    throw new Error(`The device ended:\n${device.stdout}${device.stderr}`);
  });
}

async function sendCommand(site: LiveSite, json: string): Promise<string> {
  const response = await site.api(`/command/${DEVICE_ID}`, { method: "POST", body: json });
  const { delivery, message_id: messageId } = await response.json();
  assert.equal(delivery, "queued");
  return messageId;
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
  const client = await gatewayClient(site, "somebody-else");
  for (const message of [forged, stale, early, changed, ...nonsense]) {
    await client.publishAsync(commandTopic(DEVICE_ID), message, { qos: 1 });
  }
  await client.publishAsync(commandTopic(DEVICE_ID), Buffer.from([0xff, 0xfe]), { qos: 1 });
  await client.endAsync();
}

async function signedCommand(
  json: string,
  { secret, timestamp, messageId = crypto.randomUUID() }: {
    secret: string;
    timestamp: number;
    messageId?: string;
  },
): Promise<string> {
  const payload = new TextEncoder().encode(json);
  const fields = {
    deviceId: DEVICE_ID,
    timestamp: `${timestamp}`,
    messageId,
  };
  const signature = await sign((await importSecret(secret))!, signingInput(fields, payload));
  return new TextDecoder().decode(writeCommand({ ...fields, payload, signature }));
}

async function gatewayClient(site: LiveSite, clientId: string): Promise<mqtt.MqttClient> {
  const { host, port, ca, certificate, key } = site.config.broker;
  return await mqtt.connectAsync({
    protocol: "mqtts",
    host,
    port,
    ca: await Deno.readTextFile(ca),
    cert: await Deno.readTextFile(certificate),
    key: await Deno.readTextFile(key),
    clientId,
    timerVariant: "native",
  });
}
