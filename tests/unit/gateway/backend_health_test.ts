import assert from "node:assert/strict";
import type { Outcome } from "../../../src/core/delivery.ts";
import { RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { BackendHealth } from "../../../src/gateway/pipeline/backend_health.ts";
import { OK, REFUSED, status } from "../../support/sample_outcomes.ts";

const STANDARD = statusesOf(RETRY_STATUSES);

/** One entry's first try and its further ones. */
const downWith = (code: number, tries: number) =>
  Array.from({ length: tries }, (_, i) => [status(code), i > 0] as const);

/** What is said of outcomes that come so far apart. */
function healthOf(
  outcomes: readonly (readonly [outcome: Outcome, retried: boolean, callback?: boolean])[],
  everyMs = 0,
): string[] {
  const events: string[] = [];
  let nowMs = 0;
  const health = new BackendHealth({
    concurrency: 8,
    retryStatuses: STANDARD,
    clock: { monotonicMs: () => nowMs += everyMs },
    emit: (event) =>
      events.push(event.kind === "backend_failing" ? `${event.kind} ${event.status}` : event.kind),
    waiting: () => ({ devices: 1, oldest: undefined }),
  });
  for (const [outcome, retried, callback = false] of outcomes) {
    health.record(outcome, { retried, callback });
  }
  return events;
}

Deno.test("a backend that answers and does not do its job is said to fail, once", () => {
  for (const code of [500, 503, 401, 404, 308, 409]) {
    assert.deepEqual(healthOf(downWith(code, 20)), [`backend_failing ${code}`]);
  }
  assert.deepEqual(
    healthOf([[status(422), false], [status(422), false], [status(422), false]]),
    [],
  );
});

Deno.test("a backend that goes on failing is named again, at pauses that double", () => {
  const said = healthOf(downWith(500, 1_000), 30_000); // over some eight hours
  assert.ok(said.length > 8 && said.length < 16, `${said.length} times`);
});

Deno.test("what a failing backend says now is named within a minute, however it flickers", () => {
  const flicker = Array.from({ length: 1_000 }, (_, i) => [status(500 + i % 2), i > 0] as const);
  const said = healthOf(flicker, 100); // over 100 s
  assert.equal(said.length, 2);
});

Deno.test("three failures in a row with a first try in it mean unreachable, said once", () => {
  assert.deepEqual(healthOf([[REFUSED, false], [REFUSED, true]]), []);
  const down = [[REFUSED, false], [REFUSED, true], [REFUSED, true], [REFUSED, true]] as const;
  assert.deepEqual(healthOf(down), ["backend_unreachable"]);
  assert.deepEqual(healthOf([...down, [OK, true]]), ["backend_unreachable", "backend_recovered"]);
});

Deno.test("an entry that fails again and again says nothing of the backend", () => {
  assert.deepEqual(healthOf(Array(10).fill([REFUSED, true])), []);
});

Deno.test("what a callback is answered says nothing of readings, that no answer comes does", () => {
  const wrongPath = downWith(404, 20).map((one) => [...one, true] as const);
  assert.deepEqual(healthOf(wrongPath), []);
  const interleaved = downWith(404, 5).flatMap((one) => [one, [OK, false, true] as const]);
  assert.deepEqual(healthOf(interleaved), ["backend_failing 404"]);
  const gone = [[REFUSED, false, true], [REFUSED, true, true], [REFUSED, true, true]] as const;
  assert.deepEqual(healthOf(gone), ["backend_unreachable"]);
  assert.deepEqual(healthOf([...gone, [status(503), true, true]]), ["backend_unreachable"]);
  assert.deepEqual(healthOf([...gone, [OK, true, true]]), [
    "backend_unreachable",
    "backend_recovered",
  ]);
});
