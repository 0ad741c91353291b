import assert from "node:assert/strict";
import { addCounts, countsOf, NO_TESTS, sentenceOf } from "../../runner/test_counts.ts";
import { modeOf } from "../../runner/test_file.ts";

Deno.test("countsOf() reads the last summary", () => {
  const output =
    "ok | 9 passed | 0 failed\nFAILED | 2 passed (2 steps) | 1 failed | 3 ignored (5s)";
  assert.deepEqual(countsOf(output, false), { passed: 2, failed: 1, skipped: 3 });
});

Deno.test("a process that ended badly without a failed test has failed all the same", () => {
  assert.equal(countsOf("ok | 4 passed | 0 failed (1s)", false).failed, 1);
  assert.equal(countsOf("", false).failed, 1);
  assert.deepEqual(countsOf("", true), NO_TESTS);
});

Deno.test("sentenceOf() names skipped tests only if there are some", () => {
  const one = { passed: 1, failed: 0, skipped: 0 };
  assert.equal(sentenceOf(addCounts(one, one)), "2 passed, 0 failed");
  assert.equal(sentenceOf({ ...one, skipped: 2 }), "1 passed, 0 failed, 2 skipped");
});

Deno.test("modeOf(): unit files run together, others beside, marked ones alone", () => {
  assert.equal(modeOf("tests/unit/a_test.ts", ""), "together");
  assert.equal(modeOf("tests/e2e/a_test.ts", ""), "beside");
  assert.equal(modeOf("tests/e2e/a_test.ts", "// Runs alone: it measures\n"), "alone");
});
