import assert from "node:assert/strict";
import {
  ago,
  counted,
  duration,
  number,
  rate,
  secondsOf,
  size,
  until,
} from "../../../../src/gateway/page/assets/words.js";

Deno.test("a duration has one unit, rounded down", () => {
  assert.deepEqual([0, 59.9, 60, 3_599, 3_600, 86_399, 86_400, 94_000_000, 1e9].map(duration), [
    ...["0 s", "59 s", "1 min", "59 min", "1 h", "23 h", "1 d", "1,087 d", "31 years"],
  ]);
});

Deno.test("a time is said as seen from now, on either side", () => {
  assert.equal(ago(1_000, 1_000), "now");
  assert.equal(ago(1_000, 1_305), "5 min ago");
  assert.equal(ago(1_010, 1_000), "now"); // the browser's clock may be behind
  assert.equal(until(1_000 + 86_400 * 12, 1_000), "in 12 d");
  assert.equal(until(1_000, 1_000 + 86_400 * 3), "3 d ago");
});

Deno.test("numbers, counts and sizes", () => {
  assert.equal(number(1_234_567), "1,234,567");
  assert.equal(rate(0.256), "0.256");
  assert.equal(counted(1, "device"), "1 device");
  assert.equal(counted(0, "device"), "0 devices");
  assert.equal(size(65_536), "64 KiB");
});

Deno.test("a time is taken in both forms that JSON has", () => {
  assert.equal(secondsOf(1_727_712_000), 1_727_712_000);
  assert.equal(secondsOf("2024-09-30T16:00:00.000Z"), 1_727_712_000);
  assert.equal(secondsOf(null), undefined);
});
