import assert from "node:assert/strict";
import {
  BANK_FILTERS,
  BloomFilters,
  FILTER_IDS,
  hashOf,
  type IdHash,
} from "../../../src/store/sqlite/bloom_filters.ts";

const FALSE_RATE_MAX = 0.0015;
const LAST = BANK_FILTERS - 1;

/** The hash of a device's n-th id, where it counts instead of throwing dice. */
function hash(deviceId: string, n: number): IdHash {
  const id = new Uint8Array(16);
  new DataView(id.buffer).setUint32(12, n);
  return hashOf(deviceId, id);
}

function fill(bank: BloomFilters, filter: number, deviceId: string): void {
  for (let n = 0; n < FILTER_IDS; n++) bank.add(filter, hash(deviceId, n));
}

/** The share of a device's ids, from the n-th on, which the filter may have. */
function rateOf(bank: BloomFilters, filter: number, deviceId: string, from = 0): number {
  let count = 0;
  for (let n = from; n < from + FILTER_IDS; n++) {
    if (bank.mayHave(hash(deviceId, n)) >>> filter & 1) count++;
  }
  return count / FILTER_IDS;
}

Deno.test("a full filter knows every id that was added, and hardly another", () => {
  const bank = new BloomFilters();
  fill(bank, 0, "sensor_001");
  fill(bank, LAST, "sensor_002");
  assert.equal(rateOf(bank, 0, "sensor_001"), 1);
  assert.equal(rateOf(bank, LAST, "sensor_002"), 1);
  assert.ok(rateOf(bank, 0, "sensor_001", FILTER_IDS) < FALSE_RATE_MAX);
  assert.ok(rateOf(bank, 0, "sensor_002") < FALSE_RATE_MAX);
  assert.ok(rateOf(bank, LAST, "sensor_001") < FALSE_RATE_MAX);
  assert.equal(rateOf(bank, 1, "sensor_001"), 0);
});

Deno.test("a filter knows the same after it was kept, beside others, in another place", () => {
  const bank = new BloomFilters();
  fill(bank, LAST, "sensor_001");
  const kept = bank.bytesOf(LAST);
  const other = new BloomFilters();
  fill(other, 2, "sensor_002");
  assert.ok(other.restore(1, kept));
  assert.deepEqual(other.bytesOf(1), kept);
  assert.equal(rateOf(other, 1, "sensor_001"), 1);
  assert.equal(rateOf(other, 2, "sensor_002"), 1);
  assert.ok(rateOf(other, 1, "sensor_002") < FALSE_RATE_MAX);
  assert.equal(rateOf(other, LAST, "sensor_001"), 0);
});

Deno.test("bytes that are too few or too many are no filter", () => {
  const bank = new BloomFilters();
  const { length } = bank.bytesOf(0);
  for (const wrong of [0, length / 2, length - 1, length + 1, 2 * length]) {
    assert.ok(!bank.restore(0, new Uint8Array(wrong).fill(255)), `${wrong} bytes`);
  }
  assert.equal(bank.mayHave(hash("sensor_001", 0)), 0);
});
