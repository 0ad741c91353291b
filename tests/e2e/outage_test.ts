import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const nowSeconds = () => Math.floor(Date.now() / 1000);

/** Lets the gateway attend once, so that there is a mark, and stops it. */
async function attendAndStop(site: LiveSite, device: DeviceClient): Promise<void> {
  await site.logged("caught_up");
  await device.response((await device.send('"before"')).messageId);
  await site.stopGateway();
  site.log.length = 0;
  site.backend.received.length = 0;
}

Deno.test("what waited in the broker while the gateway was away is taken, and named late", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await attendAndStop(site, device);
    const during = await device.send('"during"');
    site.clockOffsetMs = 3_600_000; // an hour passes
    await site.startGateway();
    await device.response(during.messageId);
    const caughtUp = await site.logged("caught_up");
    assert.equal(caughtUp.level, "info", "by the marker, not by waiting");
    const [reading] = site.backend.received;
    assert.equal(reading!.text, '"during"');
    assert.ok(Math.abs(Number(reading!.headers.get("x-gateway-late")) - 3_600) <= 5);
    assert.equal(await site.metric("late_total"), 1);

    const stale = await device.sign('"stale"');
    await device.publish(stale.message);
    const refused = await site.logged("message_rejected");
    assert.equal(refused["code"], "timestamp_out_of_range", "once caught up it is strict again");
  });
});

Deno.test("a replay of what was sent before or during an outage stays refused", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await site.logged("caught_up");
    const before = await device.send('"before"');
    await device.response(before.messageId);
    await site.stopGateway();
    const during = await device.send('"during"');
    await device.publish(before.message);
    await device.publish(during.message);
    site.clockOffsetMs = 3_600_000;
    await site.startGateway();
    await device.response(during.messageId);
    await poll(
      "both replays",
      () => site.log.filter(({ event }) => event === "message_rejected").length === 2,
    );
    const texts = site.backend.received.map(({ text }) => text);
    assert.deepEqual(texts, ['"before"', '"during"']);
  });
});

Deno.test("a message older than the last attendance is refused after an outage", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await attendAndStop(site, device);
    const old = await device.sign('"old"', { timestamp: nowSeconds() - 310 });
    await device.publish(old.message);
    site.clockOffsetMs = 3_600_000;
    await site.startGateway();
    const refused = await site.logged("message_rejected");
    assert.equal(refused["code"], "timestamp_out_of_range");
    assert.deepEqual(site.backend.received, []);
  });
});

Deno.test("a first start has no mark and is strict", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    await site.startGateway(); // makes the session, and is gone before it has taken anything
    await site.stopGateway();
    site.withStore((store) =>
      store.prepare("UPDATE marks SET value = 0 WHERE name = 'attended_seconds'").run()
    );
    const device = await site.connect(folder);
    await device.send('"first"');
    site.clockOffsetMs = 3_600_000;
    await site.startGateway();
    const refused = await site.logged("message_rejected");
    assert.equal(refused["code"], "timestamp_out_of_range");
  }, { start: false });
});

Deno.test("the grace ends, and 0s switches it off", async () => {
  for (const [grace, expected] of [["0s", "timestamp_out_of_range"], ["1h", "accepted"]] as const) {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001");
      await attendAndStop(site, device);
      await device.send('"during"');
      site.clockOffsetMs = 3_700_000;
      await site.startGateway();
      if (expected === "accepted") await site.received(1);
      else assert.equal((await site.logged("message_rejected"))["code"], expected);
    }, { settings: { CHECKS_OUTAGE_GRACE: grace } });
  }
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await attendAndStop(site, device);
    await device.send('"during"');
    site.clockOffsetMs = 3_600_000 + 400_000; // the grace and the tolerance, and a little more
    await site.startGateway();
    assert.equal((await site.logged("message_rejected"))["code"], "timestamp_out_of_range");
  }, { settings: { CHECKS_OUTAGE_GRACE: "1h" } });
});

Deno.test("a full outbox is an outage too: what waits behind it is taken when there is room", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await site.logged("caught_up");
    let up = false;
    site.backend.answer = () => new Response("ok", { status: up ? 200 : 503 });
    const sent = [];
    for (let i = 0; i < 3; i++) sent.push(await device.send(String(i)));
    await site.logged("intake_paused");
    await site.stopGateway(); // the rest waits in the broker, not in our memory
    for (let i = 3; i < 8; i++) sent.push(await device.send(String(i)));
    site.clockOffsetMs = 3_600_000;
    await site.startGateway();
    up = true;
    for (const { messageId } of sent) await device.response(messageId);
    const texts = [...new Set(site.backend.received.map(({ text }) => text))];
    assert.deepEqual(texts, ["0", "1", "2", "3", "4", "5", "6", "7"]);
  }, { settings: { STORE_MAX_PENDING: "3" } });
});
