import assert from "node:assert/strict";
import { niceTop } from "../../../../src/gateway/page/assets/chart.js";
import { minutesOf } from "../../../../src/gateway/page/assets/flow.js";

function flowOf(values: readonly (number | null)[]) {
  const arrays = { accepted: values, delivered: values, waiting: values };
  return minutesOf({ interval_seconds: 10, end: 1_000, ...arrays, rejected: { replayed: values } });
}

Deno.test("intervals become minutes that end with the last one that is over", () => {
  const { end, accepted, waiting, rejected } = flowOf([9, 1, 2, 3, 4, 5, 6, 1, 1, 1, 1, 1, 7, 99]);
  assert.equal(end, 990);
  assert.deepEqual(accepted, [21, 12]); // 9 is of a minute that is not whole, 99 is not over
  assert.deepEqual(waiting, [6, 7]);
  assert.deepEqual(rejected["replayed"], [21, 12]);
});

Deno.test("a minute with an interval that is not known is not known", () => {
  assert.deepEqual(flowOf([1, 1, null, 1, 1, 1, 1, 1, 1, 1, 1, 1, 5]).accepted, [null, 6]);
});

Deno.test("a scale ends at 1, 2 or 5 times a power of ten", () => {
  assert.deepEqual([0, 4, 5, 9, 11, 20, 21, 501, 99_999].map(niceTop), [
    ...[4, 4, 5, 10, 20, 20, 50, 1_000, 100_000],
  ]);
});
