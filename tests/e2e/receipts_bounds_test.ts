/** Receipts under floods, faults and other settings, through the real broker. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readDeviceReceipt } from "../../src/client/device_command.ts";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { importSecret } from "../../src/core/signature.ts";
import { poll } from "../../src/time/poll.ts";
import { reload, rewrite, withLiveProcess } from "../support/live_process.ts";
import { withLiveSite } from "../support/live_site.ts";
import { withOlderSite } from "../support/older_site.ts";

const FORGERIES = 10_000;
const READINGS = 30;
const ALL = { settings: { RECEIPTS_SEND: "all" } };

/** What the next receipt says. */
async function said(device: DeviceClient) {
  const { payload, messageId, valid } = await device.receipt();
  assert.ok(valid);
  return { messageId, ...JSON.parse(payload) };
}

Deno.test("a flood of forgeries brings receipts within the limits, and the others their answers", async () => {
  await withLiveSite(async (site) => {
    const flooder = await site.device("flooder");
    const other = await site.device("other");
    const forged = (await flooder.sign("1", { secret: "another" })).message;
    const beganMs = performance.now();
    const flood = Promise.all(
      Array.from({ length: FORGERIES }, (_, i) => flooder.publish(i % 2 === 0 ? forged : "{")),
    );
    for (let i = 0; i < READINGS; i++) {
      await other.response((await other.send(`${i}`)).messageId);
    }
    await flood;
    const rejected = (code: string) => site.metric(`rejected_total{code="${code}"}`);
    await poll(
      "the rejections",
      async () => await rejected("malformed") + await rejected("invalid_signature") === FORGERIES,
      { timeoutMs: 60_000 },
    );
    const seconds = (performance.now() - beganMs) / 1000;
    const sent = await site.metric('receipts_sent_total{result="rejected"}');
    assert.ok(sent >= 2, `${sent} receipts`);
    assert.ok(sent <= 2 * (1 + seconds / 10), `${sent} receipts in ${seconds} s`);
    const dropped = await site.metric('receipts_dropped_total{why="limit"}');
    assert.equal(sent + dropped, FORGERIES);
    await poll("the receipts", () => flooder.receipts.length === sent);
    assert.equal(other.receipts.length, 0);
  });
});

Deno.test("without the topic in the access lists receipts are off, with one warning", async () => {
  await withOlderSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.publish("hello");
    const { level, message } = await site.logged("receipts_refused");
    assert.equal(level, "warning");
    assert.match(message, /type secure-iot-gateway site upgrade$/);
    await device.publish((await device.sign("1", { timestamp: 1_727_712_000 })).message);
    await poll(
      "the second one",
      async () => await site.metric('receipts_dropped_total{why="refused"}') === 2,
    );
    const ready = await site.api("/readyz");
    assert.equal(ready.status, 200);
    assert.match((await ready.json()).degraded.join(), /receipts are off.*site upgrade/);
    assert.equal(site.log.filter(({ event }) => event === "receipts_refused").length, 1);
    await device.response((await device.send("2")).messageId);
  });
});

Deno.test("with send = all a device with MQTT 3.1.1 hears what became of each reading", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001", { protocolVersion: 4 });
    const delivered = await device.send('{"n":1}');
    assert.deepEqual(await said(device), {
      messageId: delivered.messageId,
      ...{ result: "delivered", status: 200 },
      sha256: createHash("sha256").update('{"status":"received"}').digest("hex"),
    });
    site.backend.answer = () => new Response("no", { status: 422 });
    const { messageId } = await device.send('{"n":2}');
    assert.deepEqual(await said(device), { messageId, result: "dead", status: 422 });
    assert.deepEqual(device.responses.map(({ text }) => text), ['{"status":"received"}', "no"]);
  }, ALL);
});

Deno.test("with send = all a receipt waits for the broker, as the answer does", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const session = { sessionExpirySeconds: 600 };
    const device = await site.connect(folder, session);
    const answer = Promise.withResolvers<Response>();
    site.backend.answer = () => answer.promise;
    const { messageId } = await device.send("1");
    await site.received(1);
    await site.stopBroker();
    await site.logged("broker_disconnected");
    answer.resolve(new Response(null, { status: 204 }));
    await site.startBroker();
    const back = await site.connect(folder, session);
    const { result, status, ...receipt } = await said(back);
    assert.deepEqual([receipt.messageId, result, status], [messageId, "delivered", 204]);
  }, ALL);
});

Deno.test("while the secret changes, a receipt is under the one that the device has used", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const isUnder = async (secret: string, message: string) => {
      await device.publish(message);
      const bytes = await poll("a receipt", () => device.receipts.shift());
      const key = (await importSecret(secret))!;
      return (await readDeviceReceipt(bytes, { deviceId: device.deviceId, key })).valid;
    };
    const stale = (secret: string) => device.sign("1", { secret, timestamp: 1_727_712_000 });
    const [before, after] = ["the secret before", "the secret after it"];
    site.withStore((store) => {
      store.prepare("UPDATE devices SET shared_secret = ?").run(after);
      store.prepare("INSERT INTO device_secrets VALUES ('sensor_001', 2, ?, 1, ?)")
        .run(before, Math.floor(Date.now() / 1000) + 3_600);
    });
    for (const secret of [before, after, before]) {
      assert.ok(await isUnder(secret, (await stale(secret)).message), secret);
    }
    assert.ok(await isUnder(after, "hello"), "the newest, if none has verified it");
  });
});

Deno.test("SIGHUP takes the settings of receipts", async () => {
  await withLiveProcess(async (site, gateway) => {
    const device = await site.device("sensor_001");
    await device.publish("hello");
    assert.equal((await said(device)).code, "malformed");
    await rewrite(site.layout, '# send = "rejected"', 'send = "off"');
    assert.equal((await reload(gateway)).message, "Reloaded: receipts.send");
    await device.publish("hello");
    await device.response((await device.send("1")).messageId);
    await rewrite(site.layout, 'send = "off"', 'send = "all"');
    assert.equal((await reload(gateway)).message, "Reloaded: receipts.send");
    const { messageId } = await device.send("2");
    assert.partialDeepStrictEqual(await said(device), { messageId, result: "delivered" });
    assert.equal(device.receipts.length, 0);
  });
});
