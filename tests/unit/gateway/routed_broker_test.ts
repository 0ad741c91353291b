/** Which broker a publish goes to; the other gateways are what the tests say. */

import assert from "node:assert/strict";
import type { Mail, Published } from "../../../src/core/ports.ts";
import { Presence } from "../../../src/gateway/cluster/presence.ts";
import { RoutedBroker } from "../../../src/gateway/cluster/routed_broker.ts";

const TOPIC = "device/d/response";

/** A broker among those of two others; `subscribers` says whether anybody listens here. */
function routed(subscribers: () => boolean) {
  const presence = new Presence({ devicesElsewhere: () => Promise.resolve(new Map()) }, "a");
  presence.seen(["b", "c"].map((node) => ({ node, leftMs: 1_000, hasWork: false })));
  const posted: Mail[] = [];
  const here: string[] = [];
  const held = Promise.withResolvers<number>();
  const run = { isHeld: false };
  const broker = new RoutedBroker({
    broker: {
      isConnected: true,
      nextConnect: () => Promise.resolve(true),
      publish: (topic): Promise<Published> => {
        here.push(topic);
        return Promise.resolve({ kind: "acknowledged", subscribers: subscribers() });
      },
    },
    nodes: {
      post: (mail) => {
        posted.push(mail);
        return run.isHeld ? held.promise : Promise.resolve(posted.length);
      },
      endMail: () => Promise.resolve("queued"),
    },
    presence,
  });
  const answer = (topic = TOPIC) => broker.publish(topic, new Uint8Array(), {});
  const nodes = () => posted.map(({ node }) => node);
  return { answer, presence, posted, nodes, here, run, release: () => held.resolve(1) };
}

Deno.test("an answer goes where the device was heard last", async () => {
  const { answer, presence, nodes, here } = routed(() => true);
  await answer();
  presence.moved("d", "c");
  await answer();
  assert.deepEqual([here, nodes()], [[TOPIC], ["c"]]);
});

Deno.test("an answer that nobody takes here is handed to all others, once until somebody does", async () => {
  let isHeard = true;
  const { answer, nodes } = routed(() => isHeard);
  await answer();
  isHeard = false; // the device has gone, or it only sends
  for (let i = 0; i < 100; i++) await answer();
  assert.deepEqual(nodes(), ["b", "c"]);
  await answer("device/d/receipt");
  assert.deepEqual(nodes(), ["b", "c", "b", "c"]);
  isHeard = true;
  await answer();
  isHeard = false;
  await answer();
  assert.equal(nodes().length, 6);
});

Deno.test("few answers are handed over as a guess at once, and the others' devices get theirs later", async () => {
  const { answer, posted, run, release } = routed(() => false);
  run.isHeld = true;
  const topics = Array.from({ length: 1_000 }, (_, i) => `device/d${i}/response`);
  const all = topics.map((topic) => answer(topic));
  await Promise.resolve();
  await Promise.all(all.slice(100)); // they do not wait for the store
  const atOnce = posted.length;
  assert.ok(atOnce > 0 && atOnce <= 32, `${atOnce} at once`);
  release();
  run.isHeld = false;
  await Promise.all(all);
  for (const topic of topics) await answer(topic);
  assert.equal(new Set(posted.map(({ topic }) => topic)).size, topics.length);
  assert.equal(posted.length, 2 * topics.length);
});

Deno.test("what waits in the store does not keep an answer from this broker", async () => {
  const { answer, presence, here } = routed(() => true);
  presence.moved("d", "b");
  presence.moved("d", "a");
  await answer();
  assert.deepEqual(here, [TOPIC]);
});
