import assert from "node:assert/strict";
import { emptyMetrics } from "../../../src/build/docs.ts";
import type { StoreCounts } from "../../../src/core/ports.ts";
import { Presence } from "../../../src/gateway/cluster/presence.ts";

const PREFIX = "secure_iot_gateway_";
const COUNTS: StoreCounts = {
  ...{ deadLetters: 3, commandsWaiting: 2, replayIds: 7, listsBehind: 0, oldestAcceptedMs: 1_000 },
};

/** The value in an exposition; undefined if there is none. */
function valueIn(text: string, name: string): number | undefined {
  const value = new RegExp(`^${PREFIX}${name}(?:\\{.*\\})? (\\S+)$`, "m").exec(text)?.[1];
  return value === undefined ? undefined : Number(value);
}

Deno.test("the store is asked once for each scrape, and never without one", async () => {
  let asked = 0;
  const counts = () => {
    asked++;
    return Promise.resolve(COUNTS);
  };
  const metrics = emptyMetrics({ counts, steadyMs: () => 61_000 });
  assert.equal(asked, 0);
  const text = await metrics.text();
  assert.equal(asked, 1);
  const names = ["dead_letters", "commands_waiting", "replay_ids", "oldest_pending_seconds"];
  assert.deepEqual(names.map((name) => valueIn(text, name)), [3, 2, 7, 60]);
});

Deno.test("a store that fails or hangs is left out, and everything else is there", async () => {
  const hung = Promise.withResolvers<StoreCounts>();
  let asked = 0;
  let answer = () => Promise.resolve(COUNTS);
  const counts = () => {
    asked++;
    return answer();
  };
  const metrics = emptyMetrics({ counts, isStoreFailing: () => true });
  const assertDeadLetters = async (expected: number | undefined) => {
    const text = await metrics.text();
    assert.equal(valueIn(text, "dead_letters"), expected);
    assert.equal(valueIn(text, "oldest_pending_seconds") === undefined, expected === undefined);
    assert.equal(valueIn(text, "store_failing"), 1);
  };
  await assertDeadLetters(3);
  answer = () => Promise.reject(new Error("no store"));
  await assertDeadLetters(undefined);
  answer = () => hung.promise;
  await assertDeadLetters(undefined);
  answer = () => Promise.resolve(COUNTS);
  const before = asked;
  await assertDeadLetters(undefined);
  assert.equal(asked, before, "it still has the first question");
  hung.resolve(COUNTS);
  await hung.promise;
  await assertDeadLetters(3);
});

Deno.test("ready and degraded say what /readyz says", async () => {
  const well = await emptyMetrics().text();
  assert.deepEqual([valueIn(well, "ready"), valueIn(well, "degraded")], [1, 0]);
  const ill = await emptyMetrics({ unreadiness: () => ["a"], degraded: () => ["b", "c"] }).text();
  assert.deepEqual([valueIn(ill, "ready"), valueIn(ill, "degraded")], [0, 2]);
});

Deno.test("build_info has the version, and a name that no target label has", async () => {
  assert.match(
    await emptyMetrics().text(),
    /^secure_iot_gateway_build_info\{version="0\.0\.0",commit="",node_name=""\} 1$/m,
  );
});

Deno.test("a gateway is silent once its lease is over", () => {
  const presence = new Presence({ devicesElsewhere: () => Promise.resolve(new Map()) }, "a");
  assert.equal(presence.silent, 0);
  const seen = (node: string, leftMs: number) => ({ node, leftMs, hasWork: false });
  presence.seen([seen("b", 500), seen("c", -1)]);
  assert.equal(presence.silent, 1);
  presence.seen([seen("b", 500)]);
  assert.equal(presence.silent, 0);
});
