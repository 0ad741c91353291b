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

Deno.test("a batch takes the lanes in their turns, up to what each of them may be in", () => {
  const lanes = new Lanes(8);
  const open = (deviceId: string, waiting: number, batchMax = 8, tries = 0) => {
    const lane = lanes.open(deviceId);
    for (let i = 0; i < waiting; i++) lane.sequences.push(i);
    Object.assign(lane, { batchMax, tries });
    lanes.enqueue(lane);
    return lane;
  };
  const batch = () => lanes.dequeueBatch(IDLE).map(({ deviceId }) => deviceId);
  open("again", 1, 8, 1);
  open("worse", 1, 1, 3);
  for (const id of ["a", "b", "c", "d"]) open(id, 1);
  const careful = open("careful", 1, 2);
  open("e", 1);
  open("long", 9);
  assert.deepEqual(batch(), ["again"], "a lane of a spoilt batch is in none that is larger");
  assert.deepEqual(batch(), ["worse"], "what failed is with nothing that did not");
  assert.equal(batch().length, 5, "four live lanes and a backlog");
  assert.deepEqual(batch(), ["careful", "e"]);
  lanes.putBack(careful);
  open("f", 1);
  assert.deepEqual(batch(), ["careful", "f"], "it is the next");
  assert.deepEqual(batch(), []);
});

/** Lanes of batches of up to 8; `batch` gives the devices of the next one. */
function batchesOf(...lanes: readonly (readonly [string, number, number?])[]) {
  const all = new Lanes(8);
  for (const [deviceId, waiting, tries = 0] of lanes) {
    const lane = all.open(deviceId);
    for (let i = 0; i < waiting; i++) lane.sequences.push(i);
    lane.tries = tries;
    all.enqueue(lane);
  }
  return () => all.dequeueBatch(IDLE).map(({ deviceId }) => deviceId).join();
}

Deno.test("a batch takes no more backlogs than fill it, the others go in the next ones", () => {
  const batch = batchesOf(["a", 9], ["b", 3], ["c", 4], ["d", 5], ["e", 3]);
  assert.deepEqual([batch(), batch(), batch(), batch()], ["a", "b,c,d", "e", ""]);
  const failed = batchesOf(["a", 9, 1], ["b", 9, 1], ["live", 1]);
  assert.deepEqual([failed(), failed(), failed()], ["a", "b", "live"]);
});

Deno.test("a backlog that fills a batch alone does not keep live lanes out of it", () => {
  const live = ["a", "b", "c", "d", "e"].map((id) => [id, 1] as const);
  assert.equal(batchesOf(["long", 99], ["longer", 99], ...live)(), "a,b,c,long,d,e");
});

Deno.test("a lane's batches grow slowly after a failed one, and at once when the backend recovers", () => {
  const lanes = new Lanes(16);
  const lane = lanes.open("a");
  lane.batchMax = 1;
  const sizes = Array.from({ length: 12 }, () => {
    lanes.growBatch(lane);
    return lane.batchMax;
  });
  assert.deepEqual(sizes, [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
  lanes.forgetFailedBatches();
  lanes.growBatch(lane);
  assert.equal(lane.batchMax, 16);
});
