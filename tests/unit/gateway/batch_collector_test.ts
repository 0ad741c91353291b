import assert from "node:assert/strict";
import { itemBytes } from "../../../src/core/delivery_batch.ts";
import type { OutboxEntry } from "../../../src/core/outbox_entry.ts";
import { READ_MAX } from "../../../src/core/ports.ts";
import { BatchCollector } from "../../../src/gateway/pipeline/batch_collector.ts";
import { LaneReader } from "../../../src/gateway/pipeline/lane_reader.ts";
import { Lanes } from "../../../src/gateway/pipeline/lanes.ts";
import { ENTRY } from "../../support/sample_entry.ts";

/** A collector over a store with these entries; what each lane gets, as "device: sequences". */
function collectorOf(entries: readonly OutboxEntry[], limits = { max: 100, bytes: 100_000 }) {
  const stored = new Map(entries.map((entry) => [entry.sequence, entry]));
  let broken = false;
  const reader = new LaneReader({
    read: (sequences) => {
      if (broken) return Promise.reject(new Error("database is locked"));
      assert.ok(sequences.length <= READ_MAX);
      return Promise.resolve(sequences.flatMap((sequence) => stored.get(sequence) ?? []));
    },
  });
  const lanes = new Lanes(limits.max);
  for (const { deviceId, sequence } of entries) {
    (lanes.find(deviceId) ?? lanes.open(deviceId)).sequences.push(sequence);
  }
  const collector = new BatchCollector(reader, limits);
  const collect = async () =>
    (await collector.collect([...lanes]))
      .map(({ lane, entries, missing }) =>
        `${lane.deviceId}: ${missing ?? entries.map(({ sequence }) => sequence).join()}`
      );
  return { lanes, stored, collect, breakStore: () => broken = true };
}

function entry(deviceId: string, sequence: number, over: Partial<OutboxEntry> = {}): OutboxEntry {
  return { ...ENTRY, deviceId, sequence, messageId: `${deviceId}-${sequence}`, ...over };
}

function many(deviceId: string, from: number, to: number): OutboxEntry[] {
  return Array.from({ length: to - from + 1 }, (_, i) => entry(deviceId, from + i));
}

Deno.test("a lone backlog fills the batch, in order", async () => {
  const { collect } = collectorOf(many("a", 1, 50), { max: 20, bytes: 100_000 });
  assert.deepEqual(await collect(), [`a: ${Array.from({ length: 20 }, (_, i) => i + 1)}`]);
});

Deno.test("each lane has an equal share, and what it does not use goes to the others", async () => {
  const entries = [...many("long", 1, 50), entry("b", 60), entry("c", 70), ...many("d", 80, 99)];
  const { collect } = collectorOf(entries, { max: 12, bytes: 100_000 });
  assert.deepEqual(await collect(), ["long: 1,2,3", "b: 60", "c: 70", "d: 80,81,82,83,84,85,86"]);
});

Deno.test("a batch has at most its bytes, unless its first entry alone has more", async () => {
  const large = { payload: new Uint8Array(1_000) };
  const bytes = 2 * itemBytes(entry("a", 1, large));
  const entries = [entry("a", 1, large), entry("b", 2, large), entry("c", 3, large)];
  assert.deepEqual(await collectorOf(entries, { max: 9, bytes }).collect(), [
    "a: 1",
    "b: 2",
    "c: no_room",
  ]);
  assert.deepEqual(await collectorOf(entries, { max: 9, bytes: 10 }).collect(), [
    "a: 1",
    "b: no_room",
    "c: no_room",
  ]);
});

Deno.test("no two entries have one message id", async () => {
  const same = { messageId: "550E8400" };
  const other = { messageId: "550e8400" };
  const entries = [entry("a", 1, same), entry("b", 2), entry("b", 3, other), entry("c", 4, other)];
  assert.deepEqual(await collectorOf(entries).collect(), ["a: 1", "b: 2", "c: no_room"]);
});

Deno.test("a batch goes up to what was taken out, or the store does not give", async () => {
  const site = collectorOf([
    ...many("a", 1, 5),
    ...many("b", 11, 15),
    entry("c", 21),
    entry("d", 31),
  ]);
  site.lanes.find("a")!.removed.add(3);
  site.stored.delete(14);
  site.lanes.find("c")!.removed.add(21);
  site.stored.delete(31);
  assert.deepEqual(await site.collect(), ["a: 1,2", "b: 11,12,13", "c: gone", "d: unreadable"]);
});

Deno.test("a lane that cannot be read is named; what is in memory goes all the same", async () => {
  const site = collectorOf([...many("a", 1, 5), entry("b", 11)]);
  site.lanes.find("b")!.readAhead.push(entry("b", 11));
  site.breakStore();
  assert.deepEqual(await site.collect(), ["a: unreadable", "b: 11"]);
});
