/** Backends with Flask, Express and Node-RED: what their users meet first. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { DeviceClient } from "../../src/client/device_client.ts";
import type { ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import {
  type ForeignBackend,
  waitsBecause,
  withForeignBackend,
} from "../support/foreign_backend.ts";
import { fetchPackage } from "../support/npm_programs.ts";

const EXPRESS = "express@5.3.0";
const NODE_RED = "node-red@4.1.8";
const PYTHON = ["/usr/bin/python3", "python3"].find(hasFlask);
/** npm fetches some 400 packages: only CI asks for it. */
const WANTS_NPM = Deno.env.get("TEST_NODE_BACKENDS") === "1";
const NOT_ASKED = "skipped: no TEST_NODE_BACKENDS=1, which lets npm fetch Express and Node-RED";

/** A reading that the backend has printed. */
interface PrintedReading {
  readonly deviceId: string;
  readonly messageId: string;
  readonly text: string;
}

Deno.test("a backend with Flask", { ignore: PYTHON === undefined }, async (t) => {
  await withForeignBackend(async (site, backend) => {
    const flask = (...options: string[]) => ({
      path: PYTHON!,
      args: [support("flask_backend.py"), `${backend.port}`, ...options],
    });
    const [device, broken] = [await site.device("sensor_001"), await site.device("broken")];
    await t.step(
      "a route that ends in a slash answers 308: readings wait, and say where to",
      async () => {
        await backend.start(flask("slash"));
        const { messageId } = await device.send('{"t":22.50}');
        const to = `http://127.0.0.1:${backend.port}/device/sensor_001/data/`;
        await waitsBecause(site, new RegExp(RegExp.escape(`answers 308, Location "${to}": check`)));
        await backend.start(flask());
        assert.deepEqual(JSON.parse((await device.response(messageId)).text), {
          taken: { t: 22.5 },
        });
        assert.equal(
          readingsOf(backend)[0]!.text,
          '{"t":22.50}',
          "get_data() has the signed bytes",
        );
      },
    );
    for (const options of [[], ["http1.0"]]) {
      await t.step(`it closes each connection ${options.join()}: nothing is lost`, async () => {
        await backend.start(flask(...options));
        await arriveOnce(backend, device);
        await comesOnceMore(backend, broken);
      });
    }
    await t.step("bodies that it leaves unread", async () => {
      await leavesUnread(await site.device("unread"), /unread/);
    });
  });
});

Deno.test("a backend with Express", async (t) => {
  if (!WANTS_NPM) return console.log(NOT_ASKED);
  const modules = await fetchPackage(EXPRESS);
  await withForeignBackend(async (site, backend) => {
    const express = (...options: string[]): ProgramCommand => ({
      path: "node",
      args: [support("express_backend.cjs"), `${backend.port}`, ...options],
      environment: { NODE_PATH: modules },
    });
    const device = await site.device("sensor_001");
    await t.step("a route that is not there answers 404: readings wait", async () => {
      await backend.start(express("slash"));
      const { messageId } = await device.send("22.5");
      await waitsBecause(site, /the backend answers 404: check/);
      await backend.start(express());
      assert.equal((await device.response(messageId)).text, '{"taken":22.5}');
    });
    await t.step(
      "express.json() refuses what is no object or array, and that is final",
      async () => {
        const strict = await site.device("strict");
        assert.equal((await strict.response((await strict.send("22.5")).messageId)).status, "400");
      },
    );
    await t.step("it closes a connection just when a reading comes: nothing is lost", async () => {
      await arriveOnce(backend, device);
      await arriveOnce(backend, await site.device("closed"), { pauseMs: 20 });
      await comesOnceMore(backend, await site.device("broken"));
    });
    await t.step("bodies that it leaves unread", async () => {
      await leavesUnread(await site.device("unread"), /unread/);
    });
  });
});

Deno.test("a backend with Node-RED", async (t) => {
  if (!WANTS_NPM) return console.log(NOT_ASKED);
  const modules = await fetchPackage(NODE_RED);
  await withForeignBackend(async (site, backend) => {
    const { directory } = site.layout;
    const device = await site.device("sensor_001");
    await t.step("readings wait until its flow is there", async () => {
      const { messageId } = await device.send('{"t":22.50}');
      await waitsBecause(site, /the backend does not answer/);
      await backend.start(await nodeRed(modules, directory, backend.port));
      const { text } = await device.response(messageId, { timeoutMs: 30_000 });
      assert.deepEqual(JSON.parse(text), { taken: { t: 22.5 } });
    });
    await t.step("it closes a connection before the answer: nothing is lost", async () => {
      await arriveOnce(backend, device);
      await comesOnceMore(backend, await site.device("broken"));
    });
    await t.step(
      "it answers 500 to what is no object or array: that device alone waits",
      async () => {
        await (await site.device("scalar")).send("22.5");
        await waitsBecause(site, /the backend answers 500/);
        await arriveOnce(backend, device);
      },
    );
    await t.step(
      "a flow without a response node: the reading comes again, with its key",
      async () => {
        const { messageId } = await (await site.device("silent")).send("[1]");
        await poll("a repetition", () => copiesOf(backend, messageId).length > 1);
        await device.response((await device.send("[2]")).messageId);
      },
    );
  }, { settings: { BACKEND_TIMEOUT: "1s" } });
});

/** Sends readings and waits for each answer; each arrives once, or once more, in order. */
async function arriveOnce(
  backend: ForeignBackend,
  device: DeviceClient,
  { pauseMs = 0 } = {},
): Promise<void> {
  const sent: string[] = [];
  for (let i = 0; i < 20; i++) {
    const { messageId } = await device.send(`[${i}]`);
    assert.equal((await device.response(messageId)).status, "200");
    sent.push(messageId);
    if (pauseMs > 0) await pause(pauseMs - 5 + i % 10);
  }
  const own = readingsOf(backend).filter(({ messageId }) => sent.includes(messageId));
  assert.deepEqual([...new Set(own.map(({ messageId }) => messageId))], sent);
  for (const id of sent) assert.ok(copiesOf(backend, id).length <= 2, "at most once more");
}

/** A connection that ends before the answer: the same reading under the same key, once more. */
async function comesOnceMore(backend: ForeignBackend, device: DeviceClient): Promise<void> {
  const { messageId } = await device.send('{"again":true}');
  assert.equal((await device.response(messageId)).status, "200");
  const copies = copiesOf(backend, messageId).map(({ text }) => text);
  assert.deepEqual(copies, Array(2).fill('{"again":true}'));
}

async function leavesUnread(device: DeviceClient, answer: RegExp): Promise<void> {
  for (let i = 0; i < 10; i++) {
    const { messageId } = await device.send(`"${"x".repeat(60_000)}"`);
    assert.match((await device.response(messageId)).text, answer);
  }
}

function readingsOf({ stdout }: ForeignBackend): PrintedReading[] {
  return [...stdout.matchAll(/reading: (\S+) (\S+) (.*)$/gm)].map(
    ([, deviceId = "", messageId = "", text = ""]) => ({ deviceId, messageId, text }),
  );
}

function copiesOf(backend: ForeignBackend, messageId: string): PrintedReading[] {
  return readingsOf(backend).filter((reading) => reading.messageId === messageId);
}

/** Writes its folder; how to run it. */
async function nodeRed(modules: string, folder: string, port: number): Promise<ProgramCommand> {
  const userDir = `${folder}/node-red`;
  await Deno.mkdir(userDir);
  await Deno.copyFile(support("node_red_backend.json"), `${userDir}/flows.json`);
  const settings = {
    flowFile: "flows.json",
    uiHost: "127.0.0.1",
    uiPort: port,
    httpAdminRoot: false,
    disableEditor: true,
    telemetry: { enabled: false },
  };
  const path = `${userDir}/settings.js`;
  await Deno.writeTextFile(path, `module.exports = ${JSON.stringify(settings)};\n`);
  const program = `${modules}/node-red/red.js`;
  return { path: "node", args: [program, "--userDir", userDir, "--settings", path] };
}

function support(name: string): string {
  return fileURLToPath(new URL(`../support/${name}`, import.meta.url));
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function hasFlask(path: string): boolean {
  try {
    return new Deno.Command(path, { args: ["-c", "import flask"], stderr: "null" }).outputSync()
      .success;
  } catch {
    return false;
  }
}
