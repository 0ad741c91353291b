import assert from "node:assert/strict";
import { KEPT_BODY_MAX_BYTES, type Outcome } from "../../../src/core/delivery.ts";
import { entry, forwarderWith } from "../../support/lone_forwarder.ts";
import { OK, REFUSED, status } from "../../support/sample_outcomes.ts";

Deno.test("a device's entries go in their order, whatever has to be tried again", async () => {
  let failures = 6;
  const { forwarder, posts, settled } = forwarderWith(() => failures-- > 0 ? REFUSED : OK);
  for (let i = 1; i <= 5; i++) forwarder.add(entry("a", i));
  forwarder.start();
  await settled(5);
  await forwarder.stop(1_000);
  const firstArrivals = posts.slice(6);
  assert.deepEqual(posts.slice(0, 6), Array(6).fill("a1"));
  assert.deepEqual(firstArrivals, ["a1", "a2", "a3", "a4", "a5"]);
});

Deno.test("a device that waits holds up no other", async () => {
  const { forwarder, take, posts, settled, settlements } = forwarderWith((entry) =>
    entry.deviceId === "bad" ? status(503) : OK
  );
  forwarder.start();
  take(entry("bad", 1));
  for (let i = 2; i <= 20; i++) take(entry("good", i));
  await settled(19);
  await forwarder.stop(1_000);
  assert.ok(settlements.every(({ sequence }) => sequence !== 1));
  assert.ok(posts.filter((post) => post.startsWith("bad")).length >= 1);
});

Deno.test("an entry that holds up its device is named, while others go on", async () => {
  let nowMs = 0;
  const { forwarder, take, events, settled } = forwarderWith(
    ({ deviceId }) => deviceId === "bad" ? status(500) : OK,
    { monotonicMs: () => nowMs },
  );
  forwarder.start();
  take(entry("bad", 1));
  take(entry("bad", 2));
  for (let i = 3; !events.includes("delivery_stuck"); i++) {
    take(entry("good", i));
    await settled(i - 2);
    nowMs += 10_000;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.equal(forwarder.stuckLanes, 1);
  assert.match(forwarder.faults.join(), /1 device waits behind an entry/);
  await forwarder.stop(1_000);
});

Deno.test("an entry that is taken out is not sent again, wherever it is, and holds up nothing", async () => {
  const held = Promise.withResolvers<Outcome>();
  const { forwarder, take, posts, settled, settlements } = forwarderWith(({ sequence }) =>
    sequence === 1
      ? { ...status(503), retryAfter: "3600" } as Outcome
      : sequence === 4
      ? held.promise
      : OK
  );
  forwarder.start();
  for (let i = 1; i <= 6; i++) take(entry("a", i));
  while (posts.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  await new Promise((resolve) => setTimeout(resolve, 5));
  for (const sequence of [2, 1, 99]) forwarder.remove({ deviceId: "a", sequence });
  forwarder.remove({ deviceId: "nobody", sequence: 1 });
  while (!posts.includes("a4")) await new Promise((resolve) => setTimeout(resolve, 1));
  forwarder.remove({ deviceId: "a", sequence: 4 }); // on its way
  held.resolve(status(503));
  await settled(6);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a1", "a3", "a4", "a5", "a6"]);
  assert.ok(settlements.every(({ deadLetter }) => deadLetter === undefined));
});

Deno.test("a dead letter keeps the beginning of the answer, its type and its Location", async () => {
  const body = new TextEncoder().encode("x".repeat(10_000));
  const refusal = { ...status(422), body, contentType: "text/html", location: "/x" } as Outcome;
  const { forwarder, settled, settlements } = forwarderWith(() => refusal);
  forwarder.add(entry("a", 1));
  forwarder.start();
  await settled(1);
  await forwarder.stop(1_000);
  const { answer } = settlements[0]!.deadLetter!;
  assert.equal(answer?.body?.length, KEPT_BODY_MAX_BYTES);
  assert.deepEqual([answer?.contentType, answer?.location], ["text/html", "/x"]);
});

Deno.test("a refused entry becomes a dead letter and the next one goes on", async () => {
  const { forwarder, settled, settlements, events } = forwarderWith(({ sequence }) =>
    sequence === 1 ? status(422) : OK
  );
  forwarder.add(entry("a", 1));
  forwarder.add(entry("a", 2));
  forwarder.start();
  await settled(2);
  await forwarder.stop(1_000);
  assert.equal(settlements[0]!.deadLetter?.status, 422);
  assert.equal(settlements[1]!.deadLetter, undefined);
  assert.deepEqual(events, ["message_dead_lettered: the backend refused it with status 422"]);
});

Deno.test("an entry that is too old to try again becomes a dead letter", async () => {
  const { forwarder, settled, settlements } = forwarderWith(() => REFUSED, { giveUpAfterMs: 999 });
  forwarder.add(entry("a", 1));
  forwarder.start();
  await settled(1);
  await forwarder.stop(1_000);
  const { deadLetter } = settlements[0]!;
  assert.equal(deadLetter?.status, undefined);
  assert.match(deadLetter!.reason, /not delivered within its time, last: connection refused/);
});

Deno.test("no more requests are under way than allowed, and they grow from few", async () => {
  let underWay = 0;
  const most: number[] = [];
  const { forwarder, settled } = forwarderWith(async () => {
    most.push(++underWay);
    await new Promise((resolve) => setTimeout(resolve, 1));
    underWay--;
    return OK;
  }, { concurrency: 5 });
  for (let i = 1; i <= 60; i++) forwarder.add(entry(`d${i}`, i));
  forwarder.start();
  await settled(60);
  await forwarder.stop(1_000);
  assert.equal(Math.max(...most), 5);
  assert.equal(Math.max(...most.slice(0, 2)), 2);
});

Deno.test("an entry is settled only when its answer has reached the broker", async () => {
  const answered = Promise.withResolvers<boolean>();
  const { forwarder, posts, settled, settlements } = forwarderWith(() => OK, {
    respond: () => answered.promise,
  });
  forwarder.add(entry("a", 1));
  forwarder.add(entry("a", 2));
  forwarder.start();
  await new Promise((resolve) => setTimeout(resolve, 5));
  assert.deepEqual(posts, ["a1", "a2"], "the lane goes on meanwhile");
  assert.deepEqual(settlements, []);
  answered.resolve(true);
  await settled(2);
  await forwarder.stop(1_000);
});

Deno.test("an entry whose answer did not reach the broker stays in the outbox", async () => {
  const { forwarder, settlements } = forwarderWith(() => OK, {
    respond: () => Promise.resolve(false),
  });
  forwarder.add(entry("a", 1));
  forwarder.start();
  await forwarder.stop(1_000);
  assert.deepEqual(settlements, []);
});

Deno.test("what an earlier run left is read from the store when its turn comes", async () => {
  const { forwarder, posts, settled, stored } = forwarderWith(() => OK);
  for (let i = 1; i <= 3; i++) {
    stored.set(i, entry("a", i));
    forwarder.addBacklog({ deviceId: "a", sequence: i });
  }
  forwarder.start();
  await settled(3);
  await forwarder.stop(1_000);
  assert.deepEqual(posts, ["a1", "a2", "a3"]);
});

Deno.test("a long lane goes in its order, from memory and store, without what was taken out", async () => {
  const { forwarder, take, posts, settled, stored } = forwarderWith(() => OK);
  for (let i = 1; i <= 40; i++) take(entry(i % 2 ? "a" : "b", i));
  for (const gone of [25, 27, 39]) {
    stored.delete(gone);
    forwarder.remove({ deviceId: "a", sequence: gone });
  }
  forwarder.start();
  await settled(20);
  for (let i = 41; i <= 60; i++) take(entry("a", i));
  await settled(60);
  await forwarder.stop(1_000);
  const of = (device: string) => posts.filter((post) => post.startsWith(device));
  const odd = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
  const left = odd.filter((i) => ![25, 27, 39].includes(i));
  const later = Array.from({ length: 20 }, (_, i) => 41 + i);
  assert.deepEqual(of("a"), [...left, ...later].map((i) => `a${i}`));
  assert.deepEqual(of("b"), odd.map((i) => `b${i + 1}`));
});

Deno.test("when the backend is back, lanes that waited for it do not wait any longer", async () => {
  let up = false;
  const { forwarder, events, settled } = forwarderWith(() => up ? OK : REFUSED);
  for (let i = 1; i <= 4; i++) forwarder.add(entry(`d${i}`, i));
  forwarder.start();
  while (!events.includes("backend_unreachable")) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  up = true;
  await settled(4);
  await forwarder.stop(1_000);
  assert.equal(events.filter((event) => event === "backend_unreachable").length, 1);
  assert.equal(events.filter((event) => event === "backend_recovered").length, 1);
});

Deno.test("stop() breaks off what does not end within its grace", async () => {
  const { forwarder, settlements } = forwarderWith((_entry, stop) =>
    new Promise((resolve) => stop.addEventListener("abort", () => resolve(REFUSED)))
  );
  forwarder.add(entry("a", 1));
  forwarder.start();
  await forwarder.stop(5);
  assert.deepEqual(settlements, []);
});

Deno.test("a live message does not wait behind the backlog of others", async () => {
  const { forwarder, take, posts, settled } = forwarderWith(
    () => new Promise((resolve) => setTimeout(() => resolve(OK), 1)),
    { concurrency: 2 },
  );
  let sequence = 0;
  for (const device of ["a", "b", "c", "d"]) {
    for (let i = 0; i < 50; i++) take(entry(device, ++sequence));
  }
  forwarder.start();
  await settled(20);
  forwarder.add(entry("live", 999));
  const before = posts.length;
  while (!posts.includes("live999")) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.ok(
    posts.indexOf("live999") - before <= 4,
    `${posts.indexOf("live999") - before} before it`,
  );
  await settled(201);
  await forwarder.stop(1_000);
});

for (const what of ["fails", "does not give it"]) {
  Deno.test(`an entry is not skipped because the store ${what}`, async () => {
    const { forwarder, posts, settled, stored } = forwarderWith(() => OK);
    let failures = 1;
    const get = stored.get.bind(stored);
    stored.get = (sequence) => {
      if (failures-- <= 0) return get(sequence);
      if (what === "fails") throw new Error("disk I/O error");
      return undefined;
    };
    stored.set(1, entry("a", 1));
    forwarder.addBacklog({ deviceId: "a", sequence: 1 });
    forwarder.start();
    await settled(1);
    await forwarder.stop(1_000);
    assert.deepEqual(posts, ["a1"]);
  });
}
