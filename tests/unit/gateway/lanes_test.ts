import assert from "node:assert/strict";
import { Lanes } from "../../../src/gateway/pipeline/lanes.ts";

const IDLE = { limit: 4, underWay: 0, retrying: 0 };

/** Lanes in the queue; each is given as its device, how many entries wait, and its tries. */
function lanesOf(...lanes: readonly (readonly [string, number, number?])[]): Lanes {
  const all = new Lanes();
  for (const [deviceId, waiting, tries = 0] of lanes) {
    const lane = all.open(deviceId);
    for (let i = 0; i < waiting; i++) lane.sequences.push(i);
    lane.tries = tries;
    all.enqueue(lane);
  }
  return all;
}

/** The devices whose turn it is, one after another. */
function turnsOf(lanes: Lanes, count: number): (string | undefined)[] {
  return Array.from({ length: count }, () => lanes.dequeue(IDLE)?.deviceId);
}

Deno.test("live lanes go before backlogs, and every fourth turn is a backlog's", () => {
  const live = ["a", "b", "c", "d", "e"].map((id) => [id, 2] as const);
  const lanes = lanesOf(["long", 3], ["longer", 9], ...live);
  assert.deepEqual(turnsOf(lanes, 8), ["a", "b", "c", "long", "d", "e", "longer", undefined]);
});

Deno.test("entries that failed before have half of the places, and at least one", () => {
  const lanes = lanesOf(["bad", 1, 1], ["worse", 1, 1]);
  assert.equal(lanes.dequeue({ limit: 4, underWay: 2, retrying: 2 }), undefined);
  assert.equal(lanes.dequeue({ limit: 4, underWay: 1, retrying: 1 })?.deviceId, "bad");
  assert.equal(lanes.dequeue({ limit: 1, underWay: 1, retrying: 0 })?.deviceId, "worse");
});

Deno.test("the others never wait for entries that failed before", () => {
  const full = { limit: 1, underWay: 1, retrying: 1 };
  assert.equal(lanesOf(["good", 1]).dequeue(full)?.deviceId, "good");
  assert.equal(lanesOf(["good", 1]).dequeue({ ...full, retrying: 0 }), undefined);
});

Deno.test("a lane is found by its device until it is closed", () => {
  const lanes = lanesOf(["a", 1], ["b", 1]);
  const lane = lanes.find("a")!;
  assert.deepEqual([lanes.size, [...lanes].length], [2, 2]);
  lanes.close(lane);
  assert.deepEqual([lanes.size, lanes.find("a")], [1, undefined]);
});
