import assert from "node:assert/strict";
import type { DeviceClient, SignedMessage } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { ask, commandOf, reaches } from "../support/command_states.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const MINUTE_MS = 60_000;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;

/** Where the gateway's clock goes, one after the other, from the right time. */
const STEPS: readonly (readonly [name: string, offsetsMs: readonly number[]])[] = [
  ["ten minutes ahead and back", [10 * MINUTE_MS, 0]],
  ["ten minutes back and ahead again", [-10 * MINUTE_MS, 0]],
  ["a day ahead and back, across a prune", [DAY_MS, 0]],
  ["a day back and ahead again", [-DAY_MS, 0]],
  ["1970 and back", [-Date.now(), 0]],
  ["to and fro", [10 * MINUTE_MS, -10 * MINUTE_MS, DAY_MS, -DAY_MS, 0]],
];

/** Sends captured messages again and waits until each has its verdict. */
async function replay(
  site: LiveSite,
  device: DeviceClient,
  captured: readonly SignedMessage[],
): Promise<void> {
  const rejected = () => site.log.filter(({ event }) => event === "message_rejected").length;
  const before = rejected();
  for (const { message } of captured) await device.publish(message);
  await poll("the verdicts", () => rejected() === before + captured.length);
}

/** Lets the clock step, and sends what was captured before again after each step. */
async function assertNoReplay(name: string, offsetsMs: readonly number[]): Promise<void> {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const captured: SignedMessage[] = [];
    for (let i = 0; i < 3; i++) captured.push(await device.send(String(i)));
    await device.response(captured.at(-1)!.messageId);
    for (const [step, offsetMs] of offsetsMs.entries()) {
      site.clockOffsetMs = offsetMs;
      if (step % 2 === 1) { // every other step also across a restart
        await site.stopGateway();
        await site.startGateway();
      }
      await new Promise((resolve) => setTimeout(resolve, 700)); // one tidying at least
      await replay(site, device, captured);
    }
    assert.equal(site.backend.received.length, captured.length, name);
    // With the clock right again, a fresh message gets through at once.
    await poll("the next second", () => Date.now() / 1000 > captured.at(-1)!.timestamp + 1);
    await device.response((await device.send('"fresh"')).messageId);
  });
}

Deno.test("no replay gets through when the clock steps: minutes, a day or to 1970, to and fro", async () => {
  await Promise.all(STEPS.map(([name, offsetsMs]) => assertNoReplay(name, offsetsMs)));
});

Deno.test("a clock that jumps ahead makes no entry too old to be tried again", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    let up = false;
    site.backend.answer = () => new Response("ok", { status: up ? 200 : 503 });
    const { messageId } = await device.send("1");
    await site.received(2);
    site.clockOffsetMs = 10 * DAY_MS;
    const tries = site.backend.received.length;
    await site.received(tries + 2);
    up = true;
    assert.equal((await device.response(messageId)).status, "200");
    assert.equal(await site.metric("dead_letters"), 0);
  });
});

Deno.test("a clock that is put right after the start makes no entry old at the next start", async () => {
  await withLiveSite(async (site) => {
    await site.stopGateway();
    site.clockOffsetMs = -2 * DAY_MS;
    await site.startGateway();
    site.clockOffsetMs = 0;
    const device = await site.device("sensor_001");
    let up = false;
    site.backend.answer = () => new Response("ok", { status: up ? 200 : 503 });
    const { messageId } = await device.send("1");
    await site.received(2);
    await site.stopGateway();
    await site.startGateway();
    const tries = site.backend.received.length;
    await site.received(tries + 2);
    assert.equal(await site.metric("dead_letters"), 0);
    assert.ok(await site.metric("oldest_pending_seconds") < 3_600);
    up = true;
    assert.equal((await device.response(messageId)).status, "200");
  });
});

Deno.test("a start with a clock before the newest remembered id warns loudly", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.response((await device.send("1")).messageId);
    await site.stopGateway();
    site.clockOffsetMs = -DAY_MS;
    await site.startGateway();
    const record = await site.logged("clock_behind");
    assert.equal(record.level, "error");
    assert.match(record.message, /^The clock is 8\d{4} s behind the newest accepted message/);
  });
});

for (const restarts of [false, true]) {
  const when = restarts ? "while the gateway is away" : "while it waits";
  Deno.test(`a clock that is set back ${when} lets no command be done later than was asked`, async () => {
    await withLiveSite(async (site) => {
      site.clockOffsetMs = HOUR_MS;
      const folder = await site.register("sensor_001");
      const messageId = await ask(site, "sensor_001", { ttl: "5" });
      const kept = await ask(site, "sensor_001", { ttl: "600" });
      if (restarts) await site.stopGateway();
      site.clockOffsetMs = 0;
      if (restarts) await site.startGateway();
      await reaches(site, messageId, "expired");
      const { state, expiresSeconds } = commandOf(site, kept);
      assert.equal(state, "waiting");
      const leftSeconds = expiresSeconds - Date.now() / 1000;
      assert.ok(leftSeconds > 500 && leftSeconds < 602, `${leftSeconds} s are left`);
      const device = await site.connect(folder);
      await device.send('"heard"');
      assert.equal((await device.command()).messageId, kept);
    });
  });
}

Deno.test("a clock that is wrong for a while, back and right again, shortens no command's time", async () => {
  await withLiveSite(async (site) => {
    await site.register("sensor_001");
    const messageId = await ask(site, "sensor_001", { ttl: "600" });
    const { expiresSeconds } = commandOf(site, messageId);
    site.clockOffsetMs = -HOUR_MS;
    await poll(
      "its end by that clock",
      () => commandOf(site, messageId).expiresSeconds < expiresSeconds - 3_500,
    );
    site.clockOffsetMs = 0;
    await poll("its end", () => commandOf(site, messageId).expiresSeconds >= expiresSeconds - 1);
    assert.equal(commandOf(site, messageId).state, "waiting");
  });
});
