/** Callbacks between readings, with and without batches. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { Answer, Outcome, Settlement } from "../../../src/core/delivery.ts";
import type { BatchOutcome } from "../../../src/core/delivery_batch.ts";
import { isCallback, type OutboxEntry } from "../../../src/core/outbox_entry.ts";
import { RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { Forwarder } from "../../../src/gateway/pipeline/forwarder.ts";
import { ENTRY } from "../../support/sample_entry.ts";
import { poll } from "../../../src/time/poll.ts";

const OK: Answer = {
  ...{ kind: "answer", status: 200, body: undefined },
  ...{ retryAfter: null, location: null, contentType: null },
};
const REFUSED: Outcome = { kind: "no_answer", reason: "connection refused" };
const status = (status: number): Answer => ({ ...OK, status });

/** What the backend says of an entry; of a batch, of each of its entries. */
type Say = (entry: OutboxEntry) => Outcome | Promise<Outcome>;

interface Options {
  /** Undefined: each entry goes alone. */
  readonly batchMax?: number | undefined;
  readonly hasCallbacks?: boolean;
  /** What the backend says of a whole batch; undefined: it says something of each item. */
  readonly sayOfBatch?: () => BatchOutcome | undefined;
}

/** A forwarder and all that it does; each request is written down as "device: sequences". */
function forwarderWith(
  say: Say,
  { batchMax, hasCallbacks = true, sayOfBatch = () => undefined }: Options = {},
) {
  const posts: string[] = [];
  const settlements: Settlement[] = [];
  const events: string[] = [];
  const waits: number[] = [];
  const responded: number[] = [];
  const stored = new Map<number, OutboxEntry>();
  const note = (...entries: readonly OutboxEntry[]) =>
    posts.push(entries.map(({ deviceId, sequence }) => `${deviceId}${sequence}`).join());
  const deliverBatch = async (entries: readonly OutboxEntry[]): Promise<BatchOutcome> => {
    note(...entries);
    assert.ok(batchMax !== undefined && !entries.some(isCallback), "no callback is in a batch");
    const said = sayOfBatch();
    if (said) return said;
    return { kind: "items", answer: OK, outcomes: await Promise.all(entries.map(say)) };
  };
  const forwarder = new Forwarder({
    clock: { wallMs: () => 1_000, monotonicMs: () => 0 },
    steadyMs: () => 1_000,
    failpoint: () => {},
    random: () => 0,
    emit: (event) => {
      if (!("entry" in event)) return;
      events.push(`${event.kind} ${event.entry.sequence}`);
      if (event.kind === "delivery_started" && event.waitedMs !== undefined) {
        waits.push(event.entry.sequence);
      }
    },
    backend: {
      deliver: async (entry) => {
        note(entry);
        assert.ok(batchMax === undefined || isCallback(entry), "readings go in batches");
        return await say(entry);
      },
      deliverBatch,
    },
    store: { read: (wanted) => Promise.resolve(wanted.flatMap((one) => stored.get(one) ?? [])) },
    responder: {
      respond: ({ sequence }) => {
        responded.push(sequence);
        return Promise.resolve(true);
      },
    },
    committer: { settle: (settlement) => settlements.push(settlement) },
  }, {
    concurrency: 256,
    batch: batchMax === undefined ? undefined : { max: batchMax, bytes: 262_144 },
    ...{ hasCallbacks, retryFirstMs: 1, retryLongestMs: 2, giveUpAfterMs: 60_000 },
    retryStatuses: statusesOf(RETRY_STATUSES),
  });
  /** Entries of one device; a number of a callback stands in brackets. */
  const add = (deviceId: string, ...sequences: readonly (number | readonly [number])[]) => {
    for (const one of sequences) {
      const sequence = typeof one === "number" ? one : one[0];
      const commandState = typeof one === "number" ? undefined : "done" as const;
      const names = { deviceId, sequence, messageId: `${sequence}`, commandState };
      const entry = { ...ENTRY, ...names };
      stored.set(sequence, entry);
      forwarder.add(entry);
    }
  };
  const settled = async (count: number) => {
    await poll(`${count} settled`, () => settlements.length >= count);
    await forwarder.stop(1_000);
    return settlements.map(({ sequence }) => sequence);
  };
  return { forwarder, add, settled, posts, settlements, events, waits, responded };
}

for (const batchMax of [undefined, 100]) {
  const mode = batchMax === undefined ? "each alone" : "in batches";

  Deno.test(`${mode}: no device is answered a callback, and no reading is counted`, async () => {
    const { forwarder, add, settled, events, waits, responded } = forwarderWith(() => OK, {
      batchMax,
    });
    add("a", 1, [2], 3);
    forwarder.start();
    assert.deepEqual(await settled(3), [1, 2, 3]);
    assert.deepEqual(responded, [1, 3]);
    assert.deepEqual(waits, [1, 3]);
    const delivered = events.filter((event) => event.includes("delivered"));
    assert.deepEqual(delivered, [
      "message_delivered 1",
      "callback_delivered 2",
      "message_delivered 3",
    ]);
  });

  Deno.test(`${mode}: a callback that fails holds up its device alone`, async () => {
    let mayGo = false;
    const { forwarder, add, settled, posts, settlements } = forwarderWith(
      (entry) => isCallback(entry) && !mayGo ? status(404) : OK,
      { batchMax },
    );
    add("a", 1, [2], 3);
    forwarder.start();
    for (let i = 10; i < 40; i++) {
      add("b", i);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.ok(posts.filter((post) => post === "a2").length > 2);
    assert.ok(!posts.join().includes("a3"));
    const others = settlements.map(({ sequence }) => sequence).filter((one) => one >= 10);
    assert.deepEqual(others, Array.from({ length: 30 }, (_, i) => 10 + i));
    assert.deepEqual(forwarder.faults, [], "its path may be wrong, the backend is not");
    mayGo = true;
    const order = (await settled(33)).filter((one) => one < 10);
    assert.deepEqual(order, [1, 2, 3]);
  });

  Deno.test(`${mode}: a callback that is refused for good is a dead letter`, async () => {
    const { forwarder, add, settled, settlements, events } = forwarderWith(
      (entry) => isCallback(entry) ? status(422) : OK,
      { batchMax },
    );
    add("a", [1], 2);
    forwarder.start();
    await settled(2);
    assert.equal(settlements[0]!.deadLetter?.status, 422);
    assert.ok(events.includes("callback_dead_lettered 1"));
  });

  Deno.test(`${mode}: a callback that is put back while there is no path is a dead letter again`, async () => {
    const { forwarder, add, settled, settlements, posts } = forwarderWith(() => OK, {
      ...{ batchMax, hasCallbacks: false },
    });
    add("a", [1], 2);
    forwarder.start();
    await settled(2);
    assert.equal(settlements[0]!.deadLetter?.reason, "commands.callback is empty");
    assert.deepEqual(posts, ["a2"]);
  });
}

Deno.test("what stands before a callback is sent first, what stands behind it later", async () => {
  const { forwarder, add, settled, posts } = forwarderWith(() => OK, { batchMax: 100 });
  add("a", 1, 2, [3], [4], 5, 6);
  add("b", 7, 8);
  forwarder.start();
  await settled(8);
  assert.deepEqual(posts, ["a1,a2,b7,b8", "a3", "a4", "a5,a6"]);
});

Deno.test("callbacks of a backlog that is not in memory go alone as well", async () => {
  const { forwarder, add, settled, posts } = forwarderWith(() => OK, { batchMax: 100 });
  const callbacks = Array.from({ length: 30 }, (_, i) => [i + 1] as const);
  add("a", ...callbacks, 31, 32);
  add("b", [40]);
  forwarder.start();
  await settled(33);
  const ofA = posts.filter((post) => post.startsWith("a"));
  assert.deepEqual(ofA, [...callbacks.map(([one]) => `a${one}`), "a31,a32"]);
});

for (const batchMax of [undefined, 100]) {
  const mode = batchMax === undefined ? "each alone" : "in batches";

  Deno.test(`${mode}: callbacks that hang hold up no reading of another device`, async () => {
    const { promise: hanging, resolve: end } = Promise.withResolvers<void>();
    const { forwarder, add, settled, settlements, posts } = forwarderWith(
      async (entry) => {
        if (isCallback(entry)) await hanging;
        return OK;
      },
      { batchMax },
    );
    forwarder.start();
    for (let i = 0; i < 300; i++) add(`hangs${i}`, [i], 1_000 + i);
    for (let i = 500; i < 600; i++) {
      add("goes", i);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    for (let i = 0; settlements.length < 100; i++) {
      assert.ok(i < 2_000, `${settlements.length} of 100 settled`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    assert.ok(settlements.every(({ sequence }) => sequence >= 500 && sequence < 600));
    const hang = posts.filter((post) => post.startsWith("hangs"));
    assert.equal(hang.length, 16, "so many callbacks are under way at once");
    end();
    await settled(700);
  });

  Deno.test(`${mode}: however many callbacks are put back without a path, all are dead letters`, async () => {
    const { forwarder, add, settled, posts } = forwarderWith(() => OK, {
      ...{ batchMax, hasCallbacks: false },
    });
    add("a", ...Array.from({ length: 20_000 }, (_, i) => [i] as const));
    forwarder.start();
    await settled(20_000);
    assert.deepEqual(posts, []);
  });
}

/** What a backend may say, most often that it takes it; a try of an entry has one of these. */
const SAID = fc.constantFrom(OK, OK, OK, status(503), status(404), status(422), REFUSED);

const RUN = fc.record({
  batchMax: fc.constantFrom(undefined, 2, 5, 100),
  entries: fc.array(
    fc.record({
      device: fc.constantFrom("a", "b", "c"),
      callback: fc.boolean(),
      said: fc.array(SAID, { maxLength: 3 }),
      waits: fc.boolean(),
    }),
    { minLength: 1, maxLength: 25 },
  ),
  batches: fc.array(
    fc.constantFrom<BatchOutcome | undefined>(
      ...[undefined, undefined, { kind: "whole", outcome: status(503) } as const],
      ...[{ kind: "whole", outcome: status(413) }, { kind: "whole", outcome: REFUSED }] as const,
      { kind: "invalid", answer: OK, reason: "cut off" },
    ),
    { maxLength: 10 },
  ),
});

Deno.test("any readings and callbacks, any backend: each settles once, in the order of its device", async () => {
  await fc.assert(
    fc.asyncProperty(RUN, async ({ batchMax, entries, batches }) => {
      const ofBatches = [...batches];
      const underWay = new Set<string>();
      const said = entries.map(({ said }) => [...said]);
      const { forwarder, add, settled, posts, settlements, responded } = forwarderWith(
        async ({ sequence, deviceId, ...entry }) => {
          const isAlone = batchMax === undefined || isCallback(entry);
          assert.ok(!isAlone || !underWay.has(deviceId), "one request of a device at a time");
          underWay.add(deviceId);
          const outcome = said[sequence]!.shift() ?? OK;
          await Promise.resolve();
          underWay.delete(deviceId);
          return outcome;
        },
        { batchMax, sayOfBatch: () => ofBatches.shift() },
      );
      const half = entries.length >> 1;
      for (const [i, { device, callback, waits }] of entries.entries()) {
        if (i === half) forwarder.start();
        add(device, callback ? [i] : i);
        if (waits) await new Promise((resolve) => setTimeout(resolve, 0));
      }
      const order = await settled(entries.length);
      assert.equal(new Set(order).size, entries.length);
      for (const device of ["a", "b", "c"]) {
        const its = order.filter((one) => entries[one]!.device === device);
        assert.deepEqual(its, its.toSorted((a, b) => a - b));
      }
      assert.ok(responded.every((one) => !entries[one]!.callback));
      assert.equal(responded.length, entries.filter(({ callback }) => !callback).length);
      const alone = posts.filter((post) => post.includes(","));
      for (const post of alone) {
        const sequences = post.split(",").map((one) => Number(one.slice(1)));
        assert.ok(sequences.every((one) => !entries[one]!.callback), post);
      }
      assert.equal(settlements.length, entries.length);
    }),
    { numRuns: 150 },
  );
});
