import assert from "node:assert/strict";
import { HOSTILE_ANSWER_COST } from "../faults/hostile_answers.ts";

Deno.test("no answer of a backend, however it is cut and wherever it ends, costs much memory", async () => {
  const { violations } = await HOSTILE_ANSWER_COST.run({ long: false, seed: 1 });
  assert.deepEqual(violations, []);
});
