import assert from "node:assert/strict";
import type { GatewayEvent } from "../../../src/core/event.ts";
import { ClockWatch } from "../../../src/gateway/backend/clock_watch.ts";

const WALL_MS = Date.UTC(2026, 0, 1);

/** A watch with a tolerance of 300 s, a clock that the test moves, and what it says. */
function watched() {
  const events: GatewayEvent[] = [];
  const time = { nowMs: 0 };
  const clock = { wallMs: () => WALL_MS + time.nowMs, monotonicMs: () => time.nowMs };
  const options = { emit: (event: GatewayEvent) => events.push(event), toleranceSeconds: 300 };
  const watch = new ClockWatch(clock, options);
  const hear = (aheadSeconds: number, roundTripMs = 0) => {
    const beganMs = time.nowMs;
    time.nowMs += roundTripMs;
    const date = new Date(WALL_MS + time.nowMs + aheadSeconds * 1000);
    watch.heard(date.toUTCString(), beganMs);
    time.nowMs += 60_000;
    return events.splice(0);
  };
  return { hear, time, watch, events };
}

Deno.test("a backend's clock that differs by more than half of the tolerance is said, by how much", () => {
  assert.deepEqual(watched().hear(149), []);
  assert.deepEqual(watched().hear(-149), []);
  assert.deepEqual(watched().hear(152), [{ kind: "clock_differs", aheadSeconds: 153 }]);
  assert.deepEqual(watched().hear(-600), [{ kind: "clock_differs", aheadSeconds: -599 }]);
});

Deno.test("how far it is ahead is known below that too, but for what the round trip explains", () => {
  const { hear, watch } = watched();
  assert.equal(watch.aheadSeconds, 0);
  hear(100);
  assert.equal(watch.aheadSeconds, 100);
  hear(-100);
  assert.equal(watch.aheadSeconds, -99);
  hear(-3, 20_000);
  assert.equal(Math.abs(watch.aheadSeconds), 0);
});

Deno.test("what the round trip may explain is not said", () => {
  assert.deepEqual(watched().hear(145, 20_000), []);
});

Deno.test("it is said once an hour at most, and nothing follows from what is no date", () => {
  const { hear, time, watch, events } = watched();
  assert.equal(hear(600).length, 1);
  assert.equal(hear(600).length, 0);
  time.nowMs += 3_600_000;
  assert.equal(hear(600).length, 1);
  time.nowMs += 3_600_000;
  for (const date of ["", "yesterday", null]) {
    watch.heard(date, time.nowMs);
    time.nowMs += 60_000;
  }
  assert.deepEqual(events, []);
});
