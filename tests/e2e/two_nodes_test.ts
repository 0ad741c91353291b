/** Two gateways with a broker each, on one store. */

import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { withSiteStore } from "../support/site_store.ts";
import { HAS_POSTGRES } from "../support/temporary_postgres.ts";
import { type TwoNodes, withTwoNodes } from "../support/two_nodes.ts";

const DEVICE_ID = "sensor_001";

/** A test that needs PostgreSQL. */
function testNodes(name: string, work: (nodes: TwoNodes) => Promise<void>): void {
  Deno.test({ name, ignore: !HAS_POSTGRES, fn: () => withTwoNodes(work) });
}

testNodes("a reading goes in at either gateway, and once at both", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  const atA = await a.connect(folder);
  const first = await atA.send("1");
  await atA.response(first.messageId);
  const atB = await b.connect(folder);
  await atB.response((await atB.send("2")).messageId);
  await atB.publish(first.message);
  assert.equal((await b.logged("message_rejected")).code, "replayed");
  assert.deepEqual(a.backend.received.map(({ text }) => text), ["1", "2"]);
});

testNodes("an answer finds the device at the other broker", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  const answers = Promise.withResolvers<void>();
  a.backend.answer = async () => {
    await answers.promise;
    return new Response("late");
  };
  const atA = await a.connect(folder);
  const slow = await atA.send("1");
  await a.received(1);
  await atA.close();
  const atB = await b.connect(folder);
  const other = await atB.send("2");
  await poll("a to know", async () => await a.metric("devices_elsewhere") === 1);
  answers.resolve();
  assert.equal((await atB.response(slow.messageId)).text, "late");
  await atB.response(other.messageId);
});

testNodes("a command through one gateway reaches the device at the other", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  const atA = await a.connect(folder);
  await atA.response((await atA.send("1")).messageId); // from then on it is known where it is
  const plain = await b.api(`/command/${DEVICE_ID}`, { method: "POST", body: '{"n":1}' });
  assert.equal(plain.status, 202, await plain.clone().text());
  assert.equal((await plain.json()).delivery, "queued");
  assert.deepEqual((await atA.command()).payload, '{"n":1}');
  const waited = b.api(`/command/${DEVICE_ID}`, {
    method: "POST",
    body: '{"n":2}',
    headers: { ttl: "60", prefer: "wait=20" },
  });
  const command = await atA.command();
  assert.deepEqual(command.payload, '{"n":2}');
  await atA.acknowledge(command.messageId, { state: "done" });
  assert.equal((await (await waited).json()).state, "done");
});

testNodes("a command waits for its device, wherever that comes back", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  const stored = await a.api(`/command/${DEVICE_ID}`, {
    method: "POST",
    body: '{"n":1}',
    headers: { ttl: "600" },
  });
  assert.equal(stored.status, 202);
  const atB = await b.connect(folder);
  await atB.send("1");
  assert.deepEqual((await atB.command()).payload, '{"n":1}');
});

testNodes("what a gateway left is sent by the other, in order", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  a.backend.answer = () => new Response(null, { status: 503 });
  const atA = await a.connect(folder);
  await atA.send("1");
  await atA.send("2");
  await poll("both at a", async () => await a.metric("accepted_total") === 2);
  await a.stopGateway();
  await atA.close();
  const atB = await b.connect(folder);
  await atB.send("3");
  await poll("the third at b", async () => await b.metric("accepted_total") === 1);
  const taken: string[] = [];
  a.backend.answer = ({ text }) => {
    taken.push(text);
    return new Response();
  };
  await b.logged("node_adopted");
  assert.equal(await b.metric("silent_nodes"), 1);
  await poll("all of them", () => taken.length >= 3);
  assert.deepEqual(taken, ["1", "2", "3"]);
});

testNodes("the metrics say that the store is away, and no other request passes", async (nodes) => {
  const { a, postgres } = nodes;
  const device = await a.connect(await a.register(DEVICE_ID));
  await device.response((await device.send("1")).messageId);
  await a.metric("ready");
  await postgres.server.kill();
  await device.send("2");
  await poll("it to be said", async () => await a.metric("store_failing") === 1);
  const text = await (await a.api("/metrics")).text();
  assert.match(text, /^secure_iot_gateway_ready 0$/m);
  assert.doesNotMatch(text, /^secure_iot_gateway_dead_letters \d/m);
  await postgres.server.start();
  await poll("it to be back", async () => await a.metric("store_failing") === 0);
  assert.equal(await a.metric("dead_letters"), 0);
});

testNodes("a device that is revoked is refused at both gateways at once", async ({ a, b }) => {
  const folder = await a.register(DEVICE_ID);
  const atB = await b.connect(folder);
  await atB.response((await atB.send("1")).messageId);
  await withSiteStore(
    a,
    ({ registry }) =>
      registry.revoke(DEVICE_ID, { revokedAt: Math.floor(Date.now() / 1000), reason: "lost" }),
  );
  await atB.send("2");
  assert.equal((await b.logged("message_rejected")).code, "device_revoked");
  await withSiteStore(b, async ({ nodes }) => {
    assert.deepEqual((await nodes!.list()).map(({ node }) => node), ["a", "b"]);
    assert.equal(await nodes!.remove("a"), "at_work");
  });
});
