import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { DatabaseSync } from "node:sqlite";
import type { DeviceClient, SignedMessage } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { withLiveSite } from "../support/live_site.ts";

/** Publishes "0", "1", … one behind the other, without waiting in between. */
async function sendInOrder(device: DeviceClient, count: number): Promise<SignedMessage[]> {
  const signed: SignedMessage[] = [];
  for (let i = 0; i < count; i++) signed.push(await device.sign(String(i)));
  await Promise.all(signed.map(({ message }) => device.publish(message)));
  return signed;
}

Deno.test("an accepted message becomes one POST with the signed bytes and its names", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const payload = '{"t":22.50,"n":12345678901234567890,"é":"\\u00e9 ☕","2":1,"1":2}';
    const { messageId, timestamp } = await device.send(payload);
    await device.response(messageId);
    assert.equal(site.backend.received.length, 1);
    const [reading] = site.backend.received;
    assert.equal(reading!.method, "POST");
    assert.equal(reading!.path, "/device/sensor_001/data");
    assert.equal(reading!.text, payload);
    assert.equal(reading!.headers.get("content-type"), "application/json");
    assert.equal(reading!.messageId, messageId);
    assert.equal(reading!.timestamp, String(timestamp));
    assert.equal(await site.metric("accepted_total"), 1);
    await poll("it to be settled", async () => await site.metric("pending") === 0);
    assert.equal(await site.metric("delivered_total"), 1);
    assert.equal(await site.metric("intake_to_backend_seconds_count"), 1);
    await poll("the count of ids", async () => await site.metric("replay_ids") === 1);
  });
});

Deno.test("the answer comes back as it is, paired with its message", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const bytes = new Uint8Array([0, 255, 10, 13, 34]);
    site.backend.answer = () => new Response(bytes, { status: 201 });
    const { messageId } = await device.send("1");
    const response = await device.response(messageId);
    assert.deepEqual([...response.bytes], [...bytes]);
    assert.equal(response.status, "201");
    const { message_id, timestamp, signature } = response.userProperties;
    assert.equal(message_id, messageId);
    const folder = `${site.layout.devicesFolder}/sensor_001`;
    const secret = (await Deno.readTextFile(`${folder}/secret`)).trim();
    const signed = createHmac("sha256", secret)
      .update(`response:sensor_001${timestamp}${messageId}201`).update(bytes);
    assert.equal(signature, signed.digest("hex"));
  });
});

Deno.test("an MQTT 3.1.1 device is served like any other", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001", { protocolVersion: 4 });
    await device.send('{"v":1}');
    const response = await poll("an answer", () => device.responses[0]);
    assert.equal(response.text, '{"status":"received"}');
  });
});

Deno.test("a QoS 0 message is taken too", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { message, messageId } = await device.sign("0");
    await device.publish(message, { qos: 0 }).catch(() => {});
    await device.response(messageId);
  });
});

Deno.test("white space is taken out, or kept where it was signed", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const spaced = '{ "a" : [ 1 , "b  c" ] }';
    await device.response((await device.send(spaced)).messageId);
    assert.equal(site.backend.received[0]!.text, '{"a":[1,"b  c"]}');
  });
});

Deno.test("the largest message goes through, one byte more is refused", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const frame = (await device.sign('""')).message.length;
    const largest = `"${"x".repeat(65_536 - frame)}"`;
    const { messageId } = await device.send(largest);
    await device.response(messageId);
    assert.equal(site.backend.received[0]!.text, largest);
    await device.send(`"x${largest.slice(1)}`);
    const record = await site.logged("message_rejected");
    assert.match(record.message, /65537 bytes, at most 65536 allowed/);
  });
});

Deno.test("a device's own Response Topic is ignored", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { message, messageId } = await device.sign("1");
    await device.publish(message, {
      properties: { responseTopic: "device/sensor_002/command", correlationData: undefined! },
    });
    assert.equal((await device.response(messageId)).text, '{"status":"received"}');
  });
});

Deno.test("messages of one device reach the backend in the order in which they came", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    let failures = 5;
    site.backend.answer = ({ text }) =>
      text === "7" && failures-- > 0 ? new Response(null, { status: 503 }) : new Response("ok");
    const sent = await sendInOrder(device, 30);
    await device.response(sent.at(-1)!.messageId);
    const firstArrivals = [...new Set(site.backend.received.map(({ text }) => text))];
    assert.deepEqual(firstArrivals, Array.from({ length: 30 }, (_, i) => String(i)));
    const keys = new Set(
      site.backend.received.map(({ text, messageId }) => `${text} ${messageId}`),
    );
    assert.equal(keys.size, 30, "every repetition carries the same key and the same bytes");
  });
});

Deno.test("the memory of ids survives a restart", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { message, messageId } = await device.send("1");
    await device.response(messageId);
    await site.stopGateway();
    await site.startGateway();
    await device.publish(message);
    const record = await site.logged("message_rejected");
    assert.equal(record["code"], "replayed");
    assert.equal(site.backend.received.length, 1);
  });
});

Deno.test("what is not committed is not acknowledged, and comes again when it can be", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const other = new DatabaseSync(site.config.store.database);
    other.exec("BEGIN IMMEDIATE");
    const { messageId, reasonCode } = await device.send("1");
    assert.equal(reasonCode, 0, "the device's PUBACK is the broker's");
    await site.logged("store_failed");
    const readiness = await site.api("/readyz");
    assert.equal(readiness.status, 503);
    assert.match((await readiness.json()).detail, /the store cannot be written/);
    assert.deepEqual([await site.metric("store_failing"), await site.metric("ready")], [1, 0]);
    assert.deepEqual(site.backend.received, []);
    await site.stopGateway(); // nothing was acknowledged: the broker still has it
    other.exec("ROLLBACK");
    other.close();
    await site.startGateway();
    await device.response(messageId);
    assert.equal(site.backend.received.length, 1);
    assert.equal((await site.api("/readyz")).status, 200);
  });
});

Deno.test("the store works again by itself when the cause is gone", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const other = new DatabaseSync(site.config.store.database);
    other.exec("BEGIN IMMEDIATE");
    const { messageId } = await device.send("1");
    await site.logged("store_failed");
    other.exec("ROLLBACK");
    other.close();
    await device.response(messageId);
    await site.logged("store_recovered");
  });
});

Deno.test("a full outbox pauses intake, says so, and goes on when there is room", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    let up = false;
    site.backend.answer = () => new Response("ok", { status: up ? 200 : 503 });
    const sent = await Promise.all(Array.from({ length: 9 }, (_, i) => device.send(String(i))));
    await site.logged("intake_paused");
    const readiness = await site.api("/readyz");
    assert.equal(readiness.status, 503);
    assert.match((await readiness.json()).detail, /the outbox is full/);
    assert.equal(await site.metric("pending"), 4);
    assert.equal(await site.metric("intake_paused"), 1);
    up = true;
    for (const { messageId } of sent) await device.response(messageId);
    await site.logged("intake_resumed");
    const texts = new Set(site.backend.received.map(({ text }) => text));
    assert.equal(texts.size, 9);
  }, { settings: { STORE_MAX_PENDING: "4" } });
});

Deno.test("an outbox left by an earlier run is drained at start", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    site.backend.answer = () => new Response(null, { status: 503 });
    const sent = await sendInOrder(device, 5);
    await poll("five entries", async () => await site.metric("pending") === 5);
    await site.stopGateway();
    site.backend.answer = () => new Response("ok");
    site.backend.received.length = 0;
    await site.startGateway();
    await device.response(sent.at(-1)!.messageId);
    assert.deepEqual(site.backend.received.map(({ text }) => text), ["0", "1", "2", "3", "4"]);
  });
});

Deno.test("stopping lets the request that is under way end", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const release = Promise.withResolvers<void>();
    site.backend.answer = async () => {
      await release.promise;
      return new Response("late");
    };
    const { messageId } = await device.send("1");
    await site.received(1);
    const stopped = site.stopGateway();
    release.resolve();
    await stopped;
    assert.equal((await device.response(messageId)).text, "late");
    assert.equal(
      site.withStore((s) => s.prepare("SELECT count(*) AS n FROM outbox").get()!["n"]),
      0,
    );
  });
});

Deno.test("a line for each accepted message is written only where it is asked for", async () => {
  for (const accepted of ["false", "true"]) {
    await withLiveSite(async (site) => {
      const device = await site.device("sensor_001");
      const { messageId } = await device.send("1");
      await device.response(messageId);
      const lines = site.log.filter(({ event }) => event === "message_accepted");
      assert.equal(lines.length, accepted === "true" ? 1 : 0);
    }, { settings: { LOG_ACCEPTED: accepted } });
  }
});
