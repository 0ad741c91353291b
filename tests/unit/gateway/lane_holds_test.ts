import assert from "node:assert/strict";
import type { Outcome } from "../../../src/core/delivery.ts";
import { entry, forwarderWith } from "../../support/lone_forwarder.ts";
import { OK } from "../../support/sample_outcomes.ts";

Deno.test("an entry waits for an older one that another gateway has, also when it takes that over", async () => {
  const { forwarder, take, stored, posts, settled } = forwarderWith(() => OK);
  forwarder.start();
  take(entry("a", 1));
  forwarder.holds.learn([], new Map([["a", 3]]));
  take(entry("a", 5));
  take(entry("a", 6));
  take(entry("b", 7));
  await settled(2);
  assert.deepEqual(posts, ["a1", "b7"]);
  forwarder.holds.learn(["a"], new Map());
  for (const sequence of [3, 2]) {
    stored.set(sequence, entry("a", sequence));
    forwarder.requeue({ deviceId: "a", sequence });
  }
  assert.deepEqual(posts.length, 2);
  forwarder.holds.release(["a"]);
  await settled(6);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a1", "b7", "a2", "a3", "a5", "a6"]);
  assert.deepEqual(forwarder.holds.behind, []);
});

Deno.test("entries go only up to the oldest that another gateway has, also those taken over", async () => {
  const { forwarder, take, stored, posts, settled } = forwarderWith(() => OK);
  const requeue = (sequence: number) => {
    stored.set(sequence, entry("a", sequence));
    forwarder.requeue({ deviceId: "a", sequence });
  };
  forwarder.start();
  forwarder.holds.learn([], new Map([["a", 3]]));
  for (const sequence of [5, 9]) take(entry("a", sequence));
  const { behind } = forwarder.holds;
  forwarder.holds.learn(behind, new Map([["a", 7]]));
  requeue(3);
  forwarder.holds.release(behind);
  await settled(2);
  requeue(8);
  assert.deepEqual(posts, ["a3", "a5"]);
  forwarder.holds.learn(behind, new Map());
  forwarder.holds.release(behind);
  await settled(4);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a3", "a5", "a8", "a9"]);
});

Deno.test("what is taken over goes behind the entry on its way, and before those that wait", async () => {
  const held = Promise.withResolvers<Outcome>();
  const { forwarder, take, stored, posts, settled } = forwarderWith(({ sequence }) =>
    sequence === 5 ? held.promise : OK
  );
  forwarder.start();
  take(entry("a", 5));
  forwarder.holds.learn([], new Map([["a", 7]]));
  take(entry("a", 9));
  forwarder.holds.learn(["a"], new Map());
  for (const sequence of [3, 7]) {
    stored.set(sequence, entry("a", sequence));
    forwarder.requeue({ deviceId: "a", sequence });
  }
  forwarder.holds.release(["a"]);
  held.resolve(OK);
  await settled(4);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a5", "a3", "a7", "a9"]);
});

Deno.test("nothing is sent while others may take this gateway for dead", async () => {
  let nowMs = 100;
  const { forwarder, take, posts, settled } = forwarderWith(() => OK, { monotonicMs: () => nowMs });
  forwarder.start();
  forwarder.holds.sendUntil(200);
  nowMs = 200; // and no timer has run since, as in a process that was stopped
  take(entry("a", 1));
  take(entry("b", 2));
  assert.deepEqual(posts, []);
  forwarder.holds.sendUntil(300);
  await settled(2);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a1", "b2"]);
});
