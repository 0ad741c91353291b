/** The backend is told of each new state of a command, in the device's lane. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { commandRecord } from "../../src/core/command_record.ts";
import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";
import { openStore } from "../../src/store/open_store.ts";
import { poll } from "../../src/time/poll.ts";
import { carriedBy } from "../support/batch_backend.ts";
import { ask, commandOf, reaches } from "../support/command_states.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { ACCEPTED } from "../support/sample_command.ts";
import { shell } from "../support/shell.ts";
import { accept } from "../unit/store/contract/commands_contract.ts";
import { batch, messagesOf } from "../unit/store/contract/sample_batch.ts";

const DEVICE_ID = "sensor_001";
const CALLBACK = "/told/{device_id}/{message_id}?from=gateway";
const SETTINGS = { COMMANDS_CALLBACK: CALLBACK };

const isCallback = ({ path }: Pick<Reading, "path">) => path.startsWith("/told/");
const recordOf = ({ text }: Pick<Reading, "text">) => JSON.parse(text);

/** What came, in its order: of a callback the state, of readings their payloads. */
function arrivals({ backend }: LiveSite): string[] {
  return backend.received.map((one) => isCallback(one) ? recordOf(one).state : payloadsOf(one));
}

function payloadsOf(reading: Reading): string {
  return carriedBy(reading).map(({ body }) => new TextDecoder().decode(body)).join();
}

async function isEmpty(site: LiveSite): Promise<void> {
  await poll("an empty outbox", async () => await site.metric("pending") === 0);
}

/** A command that is sent, received and done, and two readings behind it; all of it waits. */
async function commandAndReadings(site: LiveSite, device: DeviceClient): Promise<string> {
  const answer = site.backend.answer;
  const held = Promise.withResolvers<void>();
  site.backend.answer = async (reading) => {
    await held.promise;
    return await answer(reading);
  };
  const messageId = await ask(site, DEVICE_ID);
  await device.command();
  await device.acknowledge(messageId, { state: "received" });
  await device.acknowledge(messageId, { state: "done", result: 22.5 });
  await device.send("2");
  await device.send("3");
  await poll("all to wait", async () => await site.metric("pending") === 5);
  site.backend.answer = answer;
  held.resolve();
  return messageId;
}

async function run(site: LiveSite, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await shell([...args, "--dir", site.layout.directory]);
  assert.equal(code, 0, stderr);
  return stdout;
}

for (const batchMax of ["1", "100"]) {
  const settings = { ...SETTINGS, BACKEND_BATCH_MAX: batchMax };
  const behind = batchMax === "1" ? ["2", "3"] : ["2,3"];

  Deno.test(`a healthy backend is told each state once, between the readings; batches of ${batchMax}`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device(DEVICE_ID);
      await device.response((await device.send("1")).messageId);
      const messageId = await commandAndReadings(site, device);
      await isEmpty(site);
      assert.deepEqual(arrivals(site), ["1", "sent", "received", "done", ...behind]);

      const callbacks = site.backend.received.filter(isCallback);
      for (const callback of callbacks) {
        const record = recordOf(callback);
        assert.equal(callback.method, "POST");
        assert.equal(callback.path, `/told/${DEVICE_ID}/${messageId}?from=gateway`);
        assert.equal(callback.messageId, `${messageId}-${record.state}`);
        assert.equal(callback.headers.get("content-type"), "application/json");
        const names = [...callback.headers.keys()].filter((name) => /^x-|^webhook/.test(name));
        assert.deepEqual(names, []);
        assert.deepEqual([record.device_id, record.message_id], [DEVICE_ID, messageId]);
      }
      const last = callbacks.at(-1)!;
      assert.match(last.text, /"acknowledgement":\{.*"payload":\{"state":"done","result":22.5\}\}/);
      assert.deepEqual(last.body, commandRecord(commandOf(site, messageId)));

      await poll("each answer", () => device.responses.length === 3);
      const counts = ["accepted_total", "delivered_total", "callbacks_delivered_total"];
      assert.deepEqual(await Promise.all(counts.map((name) => site.metric(name))), [3, 3, 3]);
      assert.equal(await site.metric("intake_to_backend_seconds_count"), 3);
    }, { settings });
  });

  Deno.test(`a callback that is not taken comes again, and others wait only in its lane; batches of ${batchMax}`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device(DEVICE_ID);
      const other = await site.device("sensor_002");
      let failures = 3;
      site.backend.answer = (reading) =>
        isCallback(reading) && recordOf(reading).state === "received" && failures-- > 0
          ? new Response("busy", { status: 500, headers: { "retry-after": "1" } })
          : new Response("{}");
      await commandAndReadings(site, device);
      await poll("its first try", () => failures < 3);
      await other.response((await other.send("7")).messageId);
      assert.ok(!arrivals(site).includes("done"), "its own lane waits");
      await isEmpty(site);
      const ofDevice = arrivals(site).filter((one) => one !== "7");
      const again = Array(4).fill("received");
      assert.deepEqual(ofDevice, ["sent", ...again, "done", ...behind]);
      const tries = site.backend.received.filter((one) => one.messageId.endsWith("-received"));
      assert.equal(new Set(tries.map(({ messageId, text }) => messageId + text)).size, 1);
    }, { settings });
  });
}

Deno.test("a callback that is refused is a dead letter that says so, and goes again as it was", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    site.backend.answer = (reading) =>
      new Response("no such state", { status: isCallback(reading) ? 422 : 200 });
    const messageId = await ask(site, DEVICE_ID);
    await device.response((await device.send("1")).messageId);
    const line = await site.logged("callback_dead_lettered");
    assert.deepEqual([line["message_id"], line["state"]], [messageId, "sent"]);

    await poll("it to be listed", async () => await site.metric("dead_letters") === 1);
    const [letter] = JSON.parse(await run(site, "dead", "list", "--json"));
    assert.deepEqual([letter.message_id, letter.command_state], [messageId, "sent"]);
    assert.match(await run(site, "dead", "list"), / {2}callback sent: /);
    assert.match(
      await run(site, "dead", "show", `${letter.sequence}`),
      /^command_state: sent$/m,
    );

    site.backend.answer = (reading) =>
      new Response(null, { status: isCallback(reading) ? 503 : 200 });
    await run(site, "dead", "retry", `${letter.sequence}`);
    await poll("it to be tried", () => site.backend.received.length > 2);
    const [entry] = JSON.parse(await run(site, "outbox", "list", "--json"));
    assert.deepEqual([entry.message_id, entry.command_state], [messageId, "sent"]);
    assert.match(await run(site, "outbox", "list"), / s {2}sent {9}sensor_001$/m);
    site.backend.answer = () => new Response();
    await isEmpty(site);
    const callbacks = site.backend.received.filter(isCallback);
    assert.equal(new Set(callbacks.map(({ messageId, text }) => messageId + text)).size, 1);
    assert.equal(device.responses.length, 1, "the device hears of its reading alone");
  }, { settings: SETTINGS });
});

Deno.test("a command that nobody takes is told when it is over", async () => {
  await withLiveSite(async (site) => {
    await site.register(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    await reaches(site, messageId, "expired");
    await isEmpty(site);
    assert.deepEqual(arrivals(site), ["expired"]);
  }, { settings: { ...SETTINGS, CHECKS_TOLERANCE: "2s" } });
});

Deno.test("a copy of which an earlier run did not live to hear is told as sent", async () => {
  await withLiveSite(async (site) => {
    const nowSeconds = Math.floor(Date.now() / 1000);
    const times = { createdSeconds: nowSeconds, expiresSeconds: nowSeconds + 3_600 };
    const command = { ...ACCEPTED, ...times, deviceId: DEVICE_ID };
    const copy = { timestampSeconds: nowSeconds, nowSeconds };
    const store = await openStore(site.config.store, { author: "gateway" });
    await messagesOf(store).commit(batch({ commandChanges: [accept(command, { copy })] }));
    await store.close();
    await site.startGateway();
    await site.received(1);
    assert.deepEqual(arrivals(site), ["sent"]);
    await isEmpty(site);
  }, { settings: SETTINGS, start: false });
});
