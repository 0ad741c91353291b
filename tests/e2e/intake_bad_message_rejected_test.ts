import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { Registry } from "../../src/store/sqlite/registry.ts";
import { withLiveSite } from "../support/live_site.ts";

type Site = Parameters<Parameters<typeof withLiveSite>[0]>[0];

/** One row of the contract's table of checks, through the real broker. */
interface Row {
  readonly code: string;
  /** The sentence in the log; `{id}` is the device's. */
  readonly sentence: RegExp;
  readonly settings?: Record<string, string>;
  /** Makes the bad message, after whatever must have happened before; the device publishes it. */
  readonly make: (device: DeviceClient, site: Site) => Promise<string>;
}

const now = () => Math.floor(Date.now() / 1000);

const ROWS: readonly Row[] = [
  {
    code: "malformed",
    sentence: /^Rejected message from sensor_001: Malformed message: unexpected end, at byte \d+$/,
    make: async (device) => (await device.sign('{"v":1}')).message.slice(0, -1),
  },
  {
    code: "identity_mismatch",
    sentence: /^Rejected message: device_id mismatch with TLS identity$/,
    make: async (device) => (await device.sign('{"v":1}', { deviceId: "sensor_002" })).message,
  },
  {
    code: "unknown_device",
    sentence: /^Rejected message from sensor_001: Unknown device$/,
    make: async (device, site) => {
      site.withStore((store) => new Registry(store).remove(device.deviceId));
      return (await device.sign('{"v":1}')).message;
    },
  },
  {
    code: "device_revoked",
    sentence: /^Rejected message from sensor_001: Device revoked$/,
    make: async (device, site) => {
      site.withStore((store) =>
        new Registry(store).revoke(device.deviceId, { revokedAt: now(), reason: "lost" })
      );
      return (await device.sign('{"v":1}')).message;
    },
  },
  {
    code: "device_revoked",
    sentence: /^Rejected message from sensor_001: Device revoked$/,
    make: async (device, site) => { // a TLS session outlives its certificate
      site.withStore((store) =>
        store.prepare("UPDATE device_certificates SET not_after = ?").run(now() - 1)
      );
      return (await device.sign('{"v":1}')).message;
    },
  },
  {
    code: "invalid_signature",
    sentence: /^Rejected message from sensor_001: Invalid signature$/,
    make: async (device) => (await device.sign('{"v":1}')).message.replace('{"v":1}', '{"v":2}'),
  },
  {
    code: "timestamp_out_of_range",
    sentence:
      /^Rejected message from sensor_001: Timestamp out of range: 30[56] s behind the gateway's clock$/,
    make: async (device) => (await device.sign('{"v":1}', { timestamp: now() - 305 })).message,
  },
  {
    code: "timestamp_out_of_range",
    sentence:
      /^Rejected message from sensor_001: Timestamp out of range: 30[45] s ahead of the gateway's clock$/,
    make: async (device) => (await device.sign('{"v":1}', { timestamp: now() + 305 })).message,
  },
  {
    code: "replayed",
    sentence: /^Rejected message from sensor_001: Replayed message$/,
    make: async (device, site) => {
      const { message, messageId } = await device.send('{"v":1}');
      await device.response(messageId);
      site.backend.received.length = 0;
      return message;
    },
  },
  {
    code: "replayed",
    sentence: /^Rejected message from sensor_001: Replayed message$/,
    make: async (device, site) => { // the id again, in capitals, under a new signature
      const { messageId } = await device.send('{"v":1}');
      await device.response(messageId);
      site.backend.received.length = 0;
      return (await device.sign('{"v":2}', { messageId: messageId.toUpperCase() })).message;
    },
  },
  {
    code: "rate_limited",
    sentence: /^Rejected message from sensor_001: Rate limit exceeded$/,
    settings: { CHECKS_RATE_LIMIT_PER_SECOND: "0.001", CHECKS_RATE_LIMIT_BURST: "1" },
    make: async (device, site) => {
      const { messageId } = await device.send('{"v":1}');
      await device.response(messageId);
      site.backend.received.length = 0;
      return (await device.sign('{"v":2}')).message;
    },
  },
];

for (const [number, row] of ROWS.entries()) {
  const { code, sentence, settings, make } = row;
  Deno.test(`intake rejects row ${number + 1}, ${code}: logged, counted, acknowledged, not forwarded`, async () => {
    await withLiveSite(async (site) => {
      await site.register("sensor_002");
      const device = await site.device("sensor_001");
      await device.publish(await make(device, site));
      const record = await site.logged("message_rejected");
      assert.equal(record["code"], code);
      assert.equal(record["device_id"], "sensor_001");
      assert.match(record.message, sentence);
      assert.equal(await site.metric(`rejected_total{code="${code}"}`), 1);
      await assertAcknowledged(site);
      assert.deepEqual(site.backend.received, []);
      assert.equal(site.log.filter(({ event }) => event === "message_rejected").length, 1);
    }, settings && { settings });
  });
}

/** A message that was not acknowledged would be delivered again when the gateway is back. */
async function assertAcknowledged(site: Site): Promise<void> {
  await site.stopGateway();
  await site.startGateway();
  const witness = await site.device("witness");
  const { messageId } = await witness.send("1");
  await witness.response(messageId);
  assert.equal(site.backend.received.length, 1, "only the witness's own message came through");
  assert.equal(await site.metric("duplicates_total"), 0, "nothing was delivered again");
  site.backend.received.length = 0;
}

Deno.test("intake never accepts a retained message", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { message } = await device.sign('{"v":1}');
    // The site's broker refuses it outright; MQTT 5 §3.2.2.3.5.
    await assert.rejects(device.publish(message, { retain: true }));
    assert.deepEqual(site.backend.received, []);
  });
});

Deno.test("intake never accepts a retained message from a broker that allows them", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await device.publish((await device.sign('{"v":1}')).message, { retain: true });
    const record = await site.logged("message_rejected");
    assert.match(record.message, /Malformed message: retained, in the broker's flags/);
    assert.deepEqual(site.backend.received, []);
  }, { brokerLines: { retain_available: "true" } });
});

Deno.test("rejections leave no secret, signature or payload in the log", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const device = await site.connect(folder);
    const bad = (await device.sign('{"password":"hunter2"}')).message;
    const signature = JSON.parse(bad).signature as string;
    await device.publish(bad.replace("hunter2", "hunter3"));
    await device.publish(`${bad}x`);
    await site.logged("message_rejected", ({ code }) => code === "malformed");
    const log = JSON.stringify(site.log);
    const secret = await Deno.readTextFile(`${folder}/secret`);
    for (const text of [signature, secret, "hunter", "password"]) assert.ok(!log.includes(text));
  });
});
