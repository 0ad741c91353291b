/** What a device hears of its refused messages, through the real broker. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { ReplayGuard } from "../../src/store/sqlite/replay_guard.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const NIL = "00000000-0000-0000-0000-000000000000";
/** Longer than the first period in which the store counts rejections. */
const COUNTED_MS = 61_000;
const VERSIONS = [4, 5] as const;

/** Waits for the next receipt, which must be the gateway's and of now. */
async function heard(device: DeviceClient) {
  const { payload, messageId, timestamp, valid } = await device.receipt();
  assert.ok(valid, "its signature");
  assert.ok(Math.abs(Date.now() / 1000 - timestamp) < 60, "its time");
  return { messageId, said: JSON.parse(payload) };
}

/** Publishes a message and waits for what is heard of it. */
async function told(device: DeviceClient, message: string) {
  await device.publish(message);
  return await heard(device);
}

for (const protocolVersion of VERSIONS) {
  Deno.test(`each refusal is told, MQTT ${protocolVersion}`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001", { protocolVersion });
      const rejected = async (message: string, messageId: string, said: object) =>
        assert.deepEqual(await told(device, message), {
          messageId,
          said: { result: "rejected", ...said },
        });

      const detail = "not a JSON object, at byte 0";
      await rejected("hello", NIL, { code: "malformed", detail });
      const foreign = await device.sign("1", { deviceId: "sensor_002" });
      await rejected(foreign.message, foreign.messageId, { code: "identity_mismatch" });
      const forged = await device.sign("1", { secret: "another" });
      await rejected(forged.message, forged.messageId, { code: "invalid_signature" });
      const timestamp = Math.floor(Date.now() / 1000) - 400;
      const stale = await device.sign("1", { timestamp });
      await rejected(stale.message, stale.messageId, { code: "timestamp_out_of_range" });
      const first = await device.send("1");
      const second = await device.sign("2");
      await rejected(second.message, second.messageId, { code: "rate_limited" });
      await site.received(1);
      assert.equal(await site.metric('receipts_sent_total{result="rejected"}'), 5);
      assert.equal(first.reasonCode, 0);
    }, { settings: { CHECKS_RATE_LIMIT_PER_SECOND: "0.01", CHECKS_RATE_LIMIT_BURST: "1" } });
  });

  Deno.test(`a replay is told where the reading is, MQTT ${protocolVersion}`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001", { protocolVersion });
      const held = async ({ message, messageId }: { message: string; messageId: string }) => {
        const { messageId: about, said } = await told(device, message);
        assert.equal(about, messageId);
        return said;
      };
      const replayed = { result: "rejected", code: "replayed" };

      const answer = Promise.withResolvers<Response>();
      site.backend.answer = () => answer.promise;
      const waiting = await device.send('{"n":1}');
      assert.deepEqual(await held(waiting), { ...replayed, held: "pending" });
      answer.resolve(new Response(null, { status: 422 }));
      await deadLetters(site, 1);
      assert.deepEqual(await held(waiting), { ...replayed, held: "dead" });
      site.withStore((store) => store.prepare("DELETE FROM dead_letters").run());
      assert.deepEqual(await held(waiting), { ...replayed, held: "settled" });
      site.backend.answer = () => new Response();
      const delivered = await device.send('{"n":2}');
      await site.received(2);
      await emptyOutbox(site);
      assert.deepEqual(await held(delivered), { ...replayed, held: "settled" });
    });
  });
}

for (const remember of ["0s", "1h"]) {
  Deno.test(`a reading that is signed again much later, checks.remember = "${remember}"`, async () => {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001");
      const stranger = await removedDevice(site, "stranger");
      const timestamp = Math.floor(Date.now() / 1000);
      const first = await device.send('{"n":1}');
      await device.response(first.messageId);
      for (const lateSeconds of [400, 1_000]) {
        site.clockOffsetMs = 1000 * lateSeconds;
        const other = await device.sign("0", { timestamp: timestamp + lateSeconds });
        await device.publish(other.message);
        await device.response(other.messageId);
        await tidied(site, stranger);
        const isKnown = () => remembers(site, first.messageId);
        if (remember === "0s") await poll("the first id to go", () => !isKnown());
        else assert.ok(isKnown());
      }
      const again = await device.sign('{"n":1}', {
        timestamp: timestamp + 1_000,
        messageId: first.messageId,
      });
      await device.publish(again.message);
      if (remember === "0s") return await site.received(4);
      const { payload, messageId } = await device.receipt();
      const said = { result: "rejected", code: "replayed", held: "settled" };
      assert.deepEqual([messageId, JSON.parse(payload)], [first.messageId, said]);
      assert.equal(site.backend.received.length, 3);
    }, { settings: { CHECKS_REMEMBER: remember } });
  });
}

Deno.test("strangers and revoked devices hear nothing", async () => {
  await withLiveSite(async (site) => {
    const stranger = await removedDevice(site, "stranger");
    const revoked = await site.device("revoked");
    const known = await site.device("known");
    site.withStore((store) =>
      new Registry(store).revoke("revoked", { revokedAt: 1, reason: "lost" })
    );
    for (const device of [stranger, revoked]) {
      for (const text of ["hello", (await device.sign("1")).message]) await device.publish(text);
    }
    await told(known, "hello");
    await logsOf(site, 5);
    assert.deepEqual([stranger.receipts.length, revoked.receipts.length], [0, 0]);
    assert.equal(await site.metric('receipts_sent_total{result="rejected"}'), 1);
  });
});

function deadLetters(site: LiveSite, count: number) {
  return counted(site, "dead_letters", count);
}

function emptyOutbox(site: LiveSite) {
  return counted(site, "outbox", 0);
}

/** Waits until a table has so many rows. */
async function counted(site: LiveSite, table: string, count: number): Promise<void> {
  const rows = () => site.withStore((store) => store.prepare(`SELECT 1 FROM ${table}`).all());
  await poll(`${count} rows in ${table}`, () => rows().length === count);
}

/** Waits until so many messages were refused. */
async function logsOf(site: LiveSite, count: number): Promise<void> {
  const refused = () => site.log.filter(({ event }) => event === "message_rejected").length;
  await poll(`${count} rejections`, () => refused() >= count);
}

/** A device that has a certificate, and is not in the registry. */
async function removedDevice(site: LiveSite, deviceId: string): Promise<DeviceClient> {
  const device = await site.device(deviceId);
  site.withStore((store) => new Registry(store).remove(deviceId));
  return device;
}

/** Waits until the store has been tidied: it then ends its count of what a stranger was refused. */
async function tidied(site: LiveSite, stranger: DeviceClient): Promise<void> {
  await stranger.publish("hello");
  await counted(site, "audit_rejections", 1);
  site.clockOffsetMs += COUNTED_MS;
  await counted(site, "audit_rejections", 0);
}

function remembers(site: LiveSite, messageId: string): boolean {
  return site.withStore((store) => new ReplayGuard(store).has("sensor_001", messageId));
}
