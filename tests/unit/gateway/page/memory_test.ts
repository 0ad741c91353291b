/** What the page remembers of what happened, within bounds. */

import assert from "node:assert/strict";
import type { GatewayEvent } from "../../../../src/core/event.ts";
import { reject, type RejectionCode } from "../../../../src/core/rejection.ts";
import { FlowHistory, INTERVAL_MS, INTERVALS } from "../../../../src/gateway/page/flow_history.ts";
import { Kept } from "../../../../src/gateway/page/kept.ts";
import {
  MESSAGES_MAX_BYTES,
  RecentRejections,
  REFUSED_DEVICES_MAX,
  REJECTIONS_OF_ONE_MAX,
} from "../../../../src/gateway/page/recent_rejections.ts";

function makeClock() {
  const clock = { ms: 7 * INTERVAL_MS, wallMs: () => clock.ms, monotonicMs: () => clock.ms };
  return clock;
}

function rejected(identity: string, code: RejectionCode = "replayed", bytes = new Uint8Array(1)) {
  const rejection = reject(code);
  return { kind: "message_rejected", identity, rejection, messageId: undefined, bytes } as const;
}

const ENTRY = { deviceId: "a", messageId: "m", sequence: 1, payload: new Uint8Array() };
const ACCEPTED: GatewayEvent = { kind: "message_accepted", entry: ENTRY, lateSeconds: undefined };
const DELIVERED: GatewayEvent = { kind: "message_delivered", entry: ENTRY };

Deno.test("the flow of an hour is counted by intervals, and what is older is gone", () => {
  const clock = makeClock();
  const flow = new FlowHistory(clock);
  for (const event of [ACCEPTED, ACCEPTED, DELIVERED, rejected("a")]) flow.take(event);
  flow.wait(1);
  clock.ms += INTERVAL_MS;
  flow.take(rejected("a", "malformed"));
  flow.wait(5);
  clock.ms += 2 * INTERVAL_MS;
  const read = flow.read();
  assert.equal(read.end, (clock.ms + INTERVAL_MS) / 1000);
  for (const counts of [read.accepted, read.delivered, read.waiting]) {
    assert.equal(counts.length, INTERVALS);
  }
  assert.deepEqual(read.accepted.slice(-4), [2, 0, 0, 0]);
  assert.deepEqual(read.delivered.slice(-4), [1, 0, 0, 0]);
  assert.deepEqual(read.waiting.slice(-4), [1, 5, 5, 5]);
  assert.deepEqual(Object.keys(read.rejected), ["malformed", "replayed"]);
  assert.deepEqual(read.rejected["malformed"]!.slice(-4), [0, 1, 0, 0]);
  clock.ms += (INTERVALS - 4) * INTERVAL_MS;
  assert.equal(flow.read().accepted[0], 2);
  clock.ms += INTERVAL_MS;
  assert.equal(flow.read().accepted.some((count) => count > 0), false);
  clock.ms += 1_000 * INTERVALS * INTERVAL_MS;
  assert.deepEqual(flow.read().rejected, {});
});

Deno.test("one reading now and then does not look as if one always waited", () => {
  const clock = makeClock();
  const flow = new FlowHistory(clock);
  for (let i = 0; i < 3; i++) {
    flow.wait(1); // committed, before the event says so
    flow.take(ACCEPTED);
    flow.take(DELIVERED);
    flow.wait(0);
    clock.ms += 3 * INTERVAL_MS;
  }
  const { waiting, accepted } = flow.read();
  assert.deepEqual(accepted.slice(-7), [1, 0, 0, 1, 0, 0, 0]);
  assert.deepEqual(waiting.slice(-10), Array(10).fill(0));
});

Deno.test("rejections that are alike are one, and each device has its last ones", () => {
  const clock = makeClock();
  const recent = new RecentRejections(clock);
  const shared = new Uint8Array(100).fill(7);
  recent.take(rejected("a", "replayed", shared.subarray(0, 3)));
  shared.fill(0);
  for (let i = 0; i < 999; i++) recent.take(rejected("a"));
  recent.take(rejected("a", "malformed"));
  assert.deepEqual(recent.of("a").map(({ code, count }) => [code, count]), [
    ["malformed", 1],
    ["replayed", 1_000],
  ]);
  const [, { id, bytes } = { id: "", bytes: undefined }] = recent.of("a");
  assert.deepEqual([...bytes!], [7, 7, 7], "a copy");
  assert.equal(bytes!.buffer.byteLength, 3, "and of nothing else");
  assert.equal(recent.find("a", id)?.count, 1_000);
  assert.equal(recent.find("b", id), undefined);
  for (let i = 0; i < 20; i++) {
    clock.ms += 1_000;
    recent.take(rejected("a"));
  }
  assert.equal(recent.of("a").length, REJECTIONS_OF_ONE_MAX);
  assert.equal(recent.of("a")[0]!.atMs, clock.ms);
});

Deno.test("what is kept of rejections is bounded in devices, bytes and texts", () => {
  const recent = new RecentRejections(makeClock());
  for (let i = 0; i < REFUSED_DEVICES_MAX + 10; i++) recent.take(rejected(`d${i}`));
  assert.equal(recent.of("d9").length, 0);
  assert.equal(recent.of("d10").length, 1);
  const large = new Uint8Array(16_384);
  const fitting = Math.floor(MESSAGES_MAX_BYTES / large.length);
  for (let i = 0; i < fitting + 10; i++) recent.take(rejected(`l${i}`, "replayed", large));
  assert.equal(recent.of("d20").length, 0);
  assert.equal(recent.of("l9").length, 0);
  assert.equal(recent.of(`l${fitting + 9}`).length, 1);
  recent.take(rejected("x".repeat(70_000), "malformed", new Uint8Array(65_536)));
  const [kept] = recent.of("x".repeat(300));
  assert.equal(kept!.bytes, undefined, "too long");
  assert.equal(kept!.reason.length, 300);
});

Deno.test("a kept value is made once for all who ask, and again when its time is over or it failed", async () => {
  const clock = makeClock();
  let made = 0;
  const kept = new Kept(
    () => ++made === 2 ? Promise.reject(new Error()) : Promise.resolve(made),
    5,
    clock,
  );
  assert.deepEqual(await Promise.all([kept.get(), kept.get()]), [1, 1]);
  clock.ms += 5;
  await assert.rejects(kept.get());
  assert.equal(await kept.get(), 3);
});

Deno.test("a kept value that takes longer than it is kept is not begun twice", async () => {
  const clock = makeClock();
  const answers = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
  let made = 0;
  const kept = new Kept(() => answers[made++]!.promise, 5, clock);
  const first = kept.get();
  clock.ms += 5;
  const second = kept.get();
  assert.equal(made, 1);
  answers[0]!.resolve(1);
  assert.deepEqual(await Promise.all([first, second]), [1, 1]);
  answers[1]!.resolve(2);
  assert.equal(await kept.get(), 2); // it was old when it came
});
