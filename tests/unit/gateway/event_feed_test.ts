/** What is seen of what happens: bounded, by device, and only what was asked for. */

import assert from "node:assert/strict";
import type { Outcome } from "../../../src/core/delivery.ts";
import type { GatewayEvent } from "../../../src/core/event.ts";
import { reject } from "../../../src/core/rejection.ts";
import { EventFeed, type FeedSelection } from "../../../src/gateway/telemetry/event_feed.ts";

const ALL: FeedSelection = {
  ...{
    owner: "backend",
    deviceIds: undefined,
    payloads: false,
    rejectedMessages: false,
    after: undefined,
  },
};
const NEVER = new AbortController().signal;
const UTF_8 = new TextEncoder();

function rejected(identity: string, bytes = UTF_8.encode("{}")): GatewayEvent {
  return {
    ...{ kind: "message_rejected", identity, rejection: reject("replayed") },
    ...{ messageId: "m", bytes },
  };
}

function accepted(deviceId: string): GatewayEvent {
  const entry = { deviceId, messageId: "m", sequence: 1, payload: UTF_8.encode('{"t":22.0}') };
  return { kind: "message_accepted", entry, lateSeconds: undefined };
}

function makeFeed() {
  const clock = { ms: 0, wallMs: () => clock.ms, monotonicMs: () => clock.ms };
  return { clock, feed: new EventFeed(clock, "run") };
}

Deno.test("a follower gets what happens to its devices, in order", async () => {
  const { feed } = makeFeed();
  const all = feed.follow(ALL)!;
  const one = feed.follow({ ...ALL, deviceIds: ["b"] })!;
  for (const id of ["a", "b", "a"]) feed.take(rejected(id));
  feed.take({ kind: "intake_resumed" });
  const { items, omitted } = await all.next(1000, NEVER);
  assert.deepEqual(items.map((item) => [item.kind, item.device_id, item.code]), [
    ["rejected", "a", "replayed"],
    ["rejected", "b", "replayed"],
    ["rejected", "a", "replayed"],
  ]);
  assert.equal(omitted.size, 0);
  assert.deepEqual((await one.next(1000, NEVER)).items.map(({ id }) => id), ["run-2"]);
});

Deno.test("payloads and refused messages are only for those who asked", async () => {
  const { feed } = makeFeed();
  const plain = feed.follow(ALL)!;
  const asked = feed.follow({ ...ALL, payloads: true, rejectedMessages: true })!;
  feed.take(accepted("a"));
  feed.take(rejected("a", UTF_8.encode("not JSON")));
  feed.take(rejected("a", new Uint8Array(16_385)));
  const shown = (await plain.next(1000, NEVER)).items;
  assert.ok(shown.every((item) => !("payload" in item) && !("message" in item)));
  const [first, second, third] = (await asked.next(1000, NEVER)).items;
  assert.equal(first!.payload, '{"t":22.0}');
  assert.equal(new TextDecoder().decode(Uint8Array.fromBase64(second!.message!)), "not JSON");
  assert.equal(third!.message, undefined, "over 16 KiB");
});

Deno.test("what a slow follower has no room for is counted", async () => {
  const { feed } = makeFeed();
  const slow = feed.follow(ALL)!;
  for (let i = 0; i < 10_000; i++) feed.take(rejected("a"));
  const { items, omitted } = await slow.next(1000, NEVER);
  assert.equal(items.length, 256);
  assert.equal(omitted.get("rejected"), 10_000 - 256);
  assert.equal((await slow.next(0, NEVER)).omitted.size, 0);
});

Deno.test("a follower that comes back within a minute goes on where it was", async () => {
  const { feed, clock } = makeFeed();
  const first = feed.follow(ALL)!;
  feed.take(rejected("a"));
  const after = (await first.next(1000, NEVER)).items[0]!.id;
  first.end();
  feed.take(rejected("b"));
  clock.ms = 59_000;
  feed.take(rejected("c"));
  const again = feed.follow({ ...ALL, after })!;
  assert.deepEqual((await again.next(0, NEVER)).items.map((item) => item.device_id), ["b", "c"]);
  again.end();
  clock.ms = 200_000;
  feed.take(rejected("d"));
  const late = feed.follow({ ...ALL, after })!;
  assert.deepEqual((await late.next(0, NEVER)).items, []);
});

Deno.test("a gateway that ends lets its followers go, and the next one has what they have not seen", async () => {
  const { feed } = makeFeed();
  const first = feed.follow(ALL)!;
  feed.take(rejected("a"));
  const [seen] = (await first.next(1000, NEVER)).items;
  const waiting = first.next(60_000, NEVER);
  feed.release();
  assert.deepEqual(await waiting, { items: [], omitted: new Map() });
  assert.equal(first.isOver, true);
  first.end();
  feed.take(rejected("b"));
  const next = feed.follow({ ...ALL, after: seen!.id })!;
  assert.equal(next.isOver, false);
  assert.deepEqual((await next.next(0, NEVER)).items.map((item) => item.device_id), ["b"]);
});

Deno.test("followers are bounded, and one key takes no more than half of the places", () => {
  const { feed } = makeFeed();
  const follow = (owner: string) => feed.follow({ ...ALL, owner });
  const ones = Array.from({ length: 16 }, () => follow("one")!);
  assert.equal(follow("one"), undefined);
  const others = Array.from({ length: 16 }, () => follow("other")!);
  assert.ok(others.every((follower) => follower !== undefined));
  assert.equal(follow("a third"), undefined);
  ones[0]!.end();
  assert.ok(follow("a third"));
});

Deno.test("a wait ends with its time and with its server", async () => {
  const { feed } = makeFeed();
  const follower = feed.follow(ALL)!;
  assert.deepEqual(await follower.next(1, NEVER), { items: [], omitted: new Map() });
  const stop = new AbortController();
  const waiting = follower.next(60_000, stop.signal);
  stop.abort();
  assert.deepEqual((await waiting).items, []);
});

Deno.test("a try that failed says which status came, and not where the backend is", async () => {
  const { feed } = makeFeed();
  const follower = feed.follow(ALL)!;
  const entry = { deviceId: "a", messageId: "m", sequence: 1 };
  const unreachable: Outcome = { kind: "no_answer", reason: "http://backend.example: refused" };
  const failing: Outcome = {
    ...{ kind: "answer", status: 503, body: undefined },
    ...{ retryAfter: null, location: null, contentType: null },
  };
  for (const outcome of [unreachable, failing]) {
    feed.take({ kind: "delivery_retried", entry, outcome, delayMs: 500 });
  }
  const { items } = await follower.next(1000, NEVER);
  assert.deepEqual(items.map(({ reason }) => reason), ["no answer", "status 503"]);
});

Deno.test("a short queue leaves half of its room to what does not come all the time", async () => {
  const { feed } = makeFeed();
  const few = feed.follow({ ...ALL, queueMax: 4 })!;
  for (let i = 0; i < 100; i++) feed.take(accepted("a"));
  for (let i = 0; i < 3; i++) feed.take(rejected("a"));
  const { items, omitted } = await few.next(1000, NEVER);
  assert.deepEqual(items.map(({ kind }) => kind), ["accepted", "accepted", "rejected", "rejected"]);
  assert.deepEqual([...omitted], [["accepted", 98], ["rejected", 1]]);
  const beganMs = performance.now();
  feed.take(accepted("a"));
  assert.equal((await few.next(1000, NEVER, 100)).items.length, 1);
  assert.ok(performance.now() - beganMs > 50, "it is gathered for a while");
  few.end();
});
