import assert from "node:assert/strict";
import { niceTop } from "../../../../src/gateway/page/assets/chart.js";
import { minutesOf } from "../../../../src/gateway/page/assets/flow.js";

/** The last minutes of a flow whose last interval ends at 1,000. */
function lastOf(values: readonly number[], count: number, options: { started?: number } = {}) {
  const arrays = { accepted: values, delivered: values, waiting: values };
  const flow = { interval_seconds: 10, end: 1_000, ...arrays, rejected: { replayed: values } };
  const { end, accepted, waiting, rejected } = minutesOf(flow, options);
  assert.equal(end, 990);
  assert.equal(accepted.length, 60);
  return {
    accepted: accepted.slice(-count),
    waiting: waiting.slice(-count),
    replayed: rejected["replayed"]!.slice(-count),
  };
}

Deno.test("intervals become minutes that end with the last one that is over", () => {
  const values = [9, 1, 2, 3, 4, 5, 6, 1, 1, 1, 1, 1, 7, 99];
  const { accepted, waiting, replayed } = lastOf(values, 4);
  assert.deepEqual(accepted, [null, 9, 21, 12]); // 99 is not over
  assert.deepEqual(waiting, [null, 9, 6, 7]);
  assert.deepEqual(replayed, [null, 9, 21, 12]);
});

Deno.test("what was before the start is not known, but for what is there", () => {
  const hour = Array(360).fill(0);
  assert.deepEqual(lastOf(hour, 3, { started: 900 }).accepted, [null, 0, 0]);
  assert.deepEqual(lastOf(hour, 3, { started: 1_000 }).accepted, [null, null, null]);
  assert.deepEqual(lastOf(hour.with(-10, 4), 3, { started: 1_000 }).accepted, [null, 4, null]);
});

Deno.test("a scale ends at a round number", () => {
  assert.deepEqual([0, 4, 5, 9, 11, 20, 23, 501, 99_999].map(niceTop), [
    ...[4, 4, 5, 10, 15, 20, 30, 600, 100_000],
  ]);
});
