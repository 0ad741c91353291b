import assert from "node:assert/strict";
import { Takeovers } from "../../../src/gateway/broker/takeovers.ts";

Deno.test("each takeover doubles the pause up to a minute, and only the first is told", () => {
  const takeovers = new Takeovers();
  let nowMs = 0;
  const ends = Array.from({ length: 9 }, (_, i) => {
    takeovers.connected(nowMs += 60_000);
    return takeovers.ended(i % 2 === 0 ? "taken_over" : "closed", nowMs += 60_000);
  });
  takeovers.connected(nowMs);
  const likely = takeovers.ended("closed", nowMs);
  assert.ok(takeovers.goOn(nowMs));
  assert.deepEqual(ends.map(({ isFirst }) => isFirst), [true, ...Array(8).fill(false)]);
  assert.deepEqual(ends.slice(0, 4).map(({ pauseMs }) => pauseMs), [1_000, 2_000, 4_000, 8_000]);
  assert.equal(ends.at(-1)!.pauseMs, 60_000);
  assert.equal(likely.pauseMs, 10_000, "the broker may as well be restarted all the time");
});

Deno.test("a connection that is closed without a word is a takeover at the third time in a row", () => {
  const takeovers = new Takeovers();
  const pauseOf = (end: "closed" | "failed", lastsMs: number) => {
    takeovers.connected(0);
    return takeovers.ended(end, lastsMs).pauseMs;
  };
  const rows: [end: "closed" | "failed", lastsMs: number, pauseMs: number][] = [
    ["closed", 100, 0],
    ["closed", 100, 0],
    ["failed", 100, 0],
    ["closed", 100, 0],
    ["closed", 10_000, 0],
    ["closed", 100, 0],
    ["closed", 100, 0],
    ["closed", 100, 1_000],
    ["closed", 1_000, 2_000],
    ["failed", 1_000, 0],
    ["closed", 179_999, 4_000],
    ["closed", 180_000, 0],
  ];
  for (const [i, [end, lastsMs, expected]] of rows.entries()) {
    assert.equal(pauseOf(end, lastsMs), expected, `row ${i}`);
  }
});

Deno.test("takeovers are over once a connection has lasted, and the next one is told again", () => {
  const takeovers = new Takeovers();
  takeovers.connected(0);
  assert.ok(!takeovers.goOn(0));
  assert.ok(takeovers.ended("taken_over", 1).isFirst);
  assert.ok(takeovers.goOn(1_000_000));
  takeovers.connected(1_000_000);
  assert.ok(takeovers.goOn(1_179_999));
  assert.ok(!takeovers.goOn(1_180_000));
  assert.ok(takeovers.ended("taken_over", 1_180_000).isFirst);
});
