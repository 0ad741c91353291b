import assert from "node:assert/strict";
import type { Answer, Outcome, Settlement } from "../../../src/core/delivery.ts";
import type { BatchOutcome } from "../../../src/core/delivery_batch.ts";
import type { OutboxEntry } from "../../../src/core/outbox_entry.ts";
import { RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { Forwarder } from "../../../src/gateway/pipeline/forwarder.ts";
import { ENTRY } from "../../support/sample_entry.ts";
import { poll } from "../../../src/time/poll.ts";

const status = (status: number): Answer => ({
  ...{ kind: "answer", status, body: undefined },
  ...{ retryAfter: null, location: null, contentType: null },
});
const whole = (outcome: Outcome): BatchOutcome => ({ kind: "whole", outcome });
const items = (outcomes: readonly Outcome[]): BatchOutcome => ({
  kind: "items",
  answer: status(200),
  outcomes,
});
const allDelivered = (entries: readonly OutboxEntry[]) => items(entries.map(() => status(200)));

/** A forwarder that sends batches to `post`; each is written down as its sequences. */
function forwarderWith(
  post: (entries: readonly OutboxEntry[]) => BatchOutcome | Promise<BatchOutcome>,
  { max = 100, giveUpAfterMs = 60_000 } = {},
) {
  const batches: string[] = [];
  const settlements: Settlement[] = [];
  const invalid: string[] = [];
  const stored = new Map<number, OutboxEntry>();
  const forwarder = new Forwarder(
    {
      clock: { wallMs: () => 1_000, monotonicMs: () => 0 },
      steadyMs: () => 1_000,
      failpoint: () => {},
      random: () => 0,
      emit: (event) => {
        if (event.kind === "batch_answer_invalid") invalid.push(event.reason);
      },
      backend: {
        deliver: () => Promise.reject(new Error("Batches are on")),
        deliverBatch: async (entries) => {
          batches.push(entries.map(({ sequence }) => sequence).join());
          return await post(entries);
        },
      },
      store: {
        read: (sequences) => Promise.resolve(sequences.flatMap((one) => stored.get(one) ?? [])),
      },
      responder: { respond: () => Promise.resolve(true) },
      committer: { settle: (settlement) => settlements.push(settlement) },
    },
    {
      concurrency: 256,
      batch: { max, bytes: 262_144 },
      hasCallbacks: false,
      retryFirstMs: 2,
      retryLongestMs: 8,
      giveUpAfterMs,
      retryStatuses: statusesOf(RETRY_STATUSES),
    },
  );
  const add = (deviceId: string, ...sequences: readonly number[]) => {
    for (const sequence of sequences) {
      const entry = { ...ENTRY, deviceId, sequence, messageId: `${sequence}`, acceptedMs: 0 };
      stored.set(sequence, entry);
      forwarder.add(entry);
    }
  };
  const settled = async (count: number) => {
    await poll(`${count} settled`, () => settlements.length >= count);
    await forwarder.stop(1_000);
    return settlements.map(({ sequence }) => sequence);
  };
  return { forwarder, add, stored, batches, settlements, invalid, settled };
}

const dead = ({ deadLetter }: Settlement) => deadLetter !== undefined;

Deno.test("what waits goes in one batch, of all lanes", async () => {
  const { forwarder, add, batches, settled } = forwarderWith(allDelivered);
  add("a", 1, 2, 3);
  add("b", 4);
  forwarder.start();
  await settled(4);
  assert.deepEqual(batches, ["1,2,3,4"]);
});

Deno.test("what comes while a request is under way is the next batch", async () => {
  const first = Promise.withResolvers<void>();
  const { forwarder, add, batches, settled } = forwarderWith(async (entries) => {
    await first.promise;
    return allDelivered(entries);
  });
  forwarder.start();
  add("a", 1);
  await new Promise((resolve) => setTimeout(resolve, 5));
  add("a", 2, 3, 4);
  first.resolve();
  await settled(4);
  assert.deepEqual(batches, ["1", "2,3,4"]);
});

Deno.test("what is put back with a lower number than a batch on its way goes after it", async () => {
  const first = Promise.withResolvers<void>();
  const { forwarder, add, stored, batches, settled } = forwarderWith(async (entries) => {
    await first.promise;
    return allDelivered(entries);
  });
  add("a", 5, 6, 7);
  forwarder.start();
  await poll("the batch", () => batches.length === 1);
  stored.set(4, { ...ENTRY, deviceId: "a", sequence: 4, messageId: "4", acceptedMs: 0 });
  forwarder.requeue({ deviceId: "a", sequence: 4 });
  first.resolve();
  assert.deepEqual(await settled(4), [5, 6, 7, 4]);
  assert.deepEqual(batches, ["5,6,7", "4"]);
});

Deno.test("of each device what stands before its first again is settled, the rest goes again", async () => {
  let tries = 0;
  const { forwarder, add, batches, settled, settlements } = forwarderWith((entries) => {
    if (++tries > 1) return allDelivered(entries);
    return items(entries.map(({ sequence }) => status(sequence === 2 ? 503 : 200)));
  });
  add("a", 1, 2, 3);
  add("b", 4);
  forwarder.start();
  assert.deepEqual(await settled(4), [1, 4, 2, 3]);
  assert.deepEqual(batches, ["1,2,3,4", "2,3"]);
  assert.equal(settlements.filter(dead).length, 0);
});

Deno.test("an item's final status makes a dead letter, and the next ones go on", async () => {
  const { forwarder, add, settled, settlements } = forwarderWith((entries) =>
    items(entries.map(({ sequence }) => status(sequence === 2 ? 422 : 200)))
  );
  add("a", 1, 2, 3);
  forwarder.start();
  await settled(3);
  assert.deepEqual(settlements.filter(dead).map(({ sequence }) => sequence), [2]);
});

Deno.test("a final status of the whole halves, and only a single one becomes a dead letter", async () => {
  const { forwarder, add, batches, settled, settlements } = forwarderWith((entries) =>
    entries.some(({ sequence }) => sequence === 3) ? whole(status(422)) : allDelivered(entries)
  );
  add("a", 1, 2, 3, 4, 5, 6, 7, 8);
  forwarder.start();
  assert.deepEqual(await settled(8), [1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(settlements.filter(dead).map(({ sequence }) => sequence), [3]);
  assert.deepEqual(batches.slice(0, 3), ["1,2,3,4,5,6,7,8", "1,2,3,4", "1,2"]);
});

Deno.test("one that spoils its batches is soon alone, and the others go on", async () => {
  const { forwarder, add, settled, batches } = forwarderWith((entries) =>
    entries.some(({ deviceId }) => deviceId === "bad")
      ? whole({ kind: "no_answer", reason: "broken connection" })
      : allDelivered(entries)
  );
  add("bad", 100);
  for (let i = 1; i <= 31; i++) add(`good${i}`, i);
  forwarder.start();
  const order = await settled(31);
  assert.ok(!order.includes(100));
  assert.ok(batches.length < 100, `${batches.length} batches`);
});

Deno.test("nothing is given up because of the batch that it was in", async () => {
  const { forwarder, add, settled, settlements } = forwarderWith(
    (entries) =>
      entries.some(({ deviceId }) => deviceId === "bad")
        ? whole(status(500))
        : allDelivered(entries),
    { giveUpAfterMs: 10 },
  );
  add("bad", 1);
  for (let i = 2; i <= 9; i++) add(`good${i}`, i);
  forwarder.start();
  await settled(9);
  assert.deepEqual(settlements.filter(dead).map(({ sequence }) => sequence), [1]);
});

Deno.test("an answer that is not as agreed settles nothing, and is said once", async () => {
  let tries = 0;
  const { forwarder, add, invalid, settled } = forwarderWith((entries) =>
    ++tries < 5 ? { kind: "invalid", answer: status(200), reason: "why" } : allDelivered(entries)
  );
  add("a", 1, 2);
  forwarder.start();
  await settled(2);
  assert.deepEqual(invalid, ["why"]);
});

Deno.test("Retry-After is heard, of the whole and of an item, and holds up no other device", async () => {
  const later = { ...status(503), retryAfter: "3600" };
  const ofWhole = forwarderWith((entries) =>
    entries.some(({ deviceId }) => deviceId === "bad") ? whole(later) : allDelivered(entries)
  );
  ofWhole.add("bad", 1);
  ofWhole.forwarder.start();
  await new Promise((resolve) => setTimeout(resolve, 20));
  ofWhole.add("good", 2);
  assert.deepEqual(await ofWhole.settled(1), [2]);
  assert.deepEqual(ofWhole.batches, ["1", "2"]);

  const ofItem = forwarderWith((entries) =>
    items(entries.map(({ deviceId }) => deviceId === "bad" ? later : status(200)))
  );
  ofItem.add("bad", 1, 2);
  ofItem.add("good", 3, 4);
  ofItem.forwarder.start();
  await ofItem.settled(2);
  await new Promise((resolve) => setTimeout(resolve, 20));
  assert.deepEqual(ofItem.batches, ["1,2,3,4"], "nothing of the device is sent meanwhile");
});

Deno.test("at most 8 batches are under way at once", async () => {
  let underWay = 0;
  let most = 0;
  const { forwarder, add, settled } = forwarderWith(async (entries) => {
    most = Math.max(most, ++underWay);
    await new Promise((resolve) => setTimeout(resolve, 1));
    underWay--;
    return allDelivered(entries);
  }, { max: 2 });
  for (let i = 0; i < 200; i++) add(`device${i}`, i);
  forwarder.start();
  await settled(200);
  assert.equal(most, 8);
});
