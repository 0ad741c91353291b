import assert from "node:assert/strict";
import type { RejectionCode } from "../../../src/core/rejection.ts";
import { ReceiptLimits } from "../../../src/gateway/pipeline/receipt_limits.ts";

const RATES = { rate: { perSecond: 1, burst: 5 }, unverifiedEveryMs: 10_000 };

/** How many of `count` receipts in a row a device may have. */
function taken(limits: ReceiptLimits, code: RejectionCode, nowMs: number, count = 100): number {
  let sum = 0;
  for (let i = 0; i < count; i++) if (limits.take("a", code, nowMs)) sum++;
  return sum;
}

Deno.test("a device has its burst at once, and then its rate", () => {
  const limits = new ReceiptLimits(RATES);
  assert.equal(taken(limits, "replayed", 0), 5);
  assert.equal(taken(limits, "rate_limited", 999), 0);
  assert.equal(taken(limits, "replayed", 3_000), 3);
  assert.equal(taken(limits, "timestamp_out_of_range", 60_000), 5);
});

Deno.test("what no secret vouches for is told once in its time, each code for itself", () => {
  const limits = new ReceiptLimits(RATES);
  const codes = ["malformed", "identity_mismatch", "invalid_signature"] as const;
  const at = (nowMs: number) => codes.map((code) => taken(limits, code, nowMs));
  assert.deepEqual(at(0), [1, 1, 1]);
  assert.deepEqual(at(9_999), [0, 0, 0]);
  assert.deepEqual(at(10_000), [1, 1, 1]);
  assert.equal(taken(limits, "replayed", 10_000), 2, "of the same burst");
});

Deno.test("with no wait between them, only the rate limits what no secret vouches for", () => {
  const limits = new ReceiptLimits({ ...RATES, unverifiedEveryMs: 0 });
  assert.equal(taken(limits, "malformed", 0), 5);
});

Deno.test("devices are forgotten when nothing limits them, and beyond the most there is no room", () => {
  const limits = new ReceiptLimits(RATES, 3);
  for (const device of ["a", "b", "c"]) assert.ok(limits.take(device, "malformed", 0));
  assert.equal(limits.take("d", "malformed", 1), false);
  assert.ok(limits.take("a", "replayed", 5_000), "it has a place");
  assert.equal(limits.take("d", "malformed", 9_999), false);
  assert.ok(limits.take("d", "malformed", 10_000), "b and c are forgotten");
  assert.equal(limits.size, 2);
});
