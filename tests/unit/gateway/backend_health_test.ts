import assert from "node:assert/strict";
import type { Outcome } from "../../../src/core/delivery.ts";
import { BackendHealth } from "../../../src/gateway/pipeline/backend_health.ts";

const OK: Outcome = { kind: "answer", status: 200, body: new Uint8Array(), retryAfter: null };
const REFUSED: Outcome = { kind: "no_answer", reason: "connection refused" };

function healthOf(outcomes: readonly (readonly [Outcome, boolean])[]): string[] {
  const events: string[] = [];
  const health = new BackendHealth(8, ({ kind }) => events.push(kind));
  for (const [outcome, retried] of outcomes) health.record(outcome, { retried });
  return events;
}

Deno.test("three failures in a row with a first try in it mean unreachable, said once", () => {
  assert.deepEqual(healthOf([[REFUSED, false], [REFUSED, true]]), []);
  const down = [[REFUSED, false], [REFUSED, true], [REFUSED, true], [REFUSED, true]] as const;
  assert.deepEqual(healthOf(down), ["backend_unreachable"]);
  assert.deepEqual(healthOf([...down, [OK, true]]), ["backend_unreachable", "backend_recovered"]);
});

Deno.test("an entry that fails again and again says nothing of the backend", () => {
  assert.deepEqual(healthOf(Array(10).fill([REFUSED, true])), []);
});
