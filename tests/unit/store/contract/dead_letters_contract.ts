import assert from "node:assert/strict";
import type { DeadLetterStore } from "../../../../src/store/dead_letters.ts";
import { batch, deadLetter, messagesOf } from "./sample_batch.ts";
import { all, type Contract } from "./contract.ts";

async function numbers(letters: DeadLetterStore): Promise<number[]> {
  return (await all(letters.list())).map(({ sequence }) => sequence);
}

async function sum(steps: AsyncIterable<number>): Promise<number> {
  return (await all(steps)).reduce((total, step) => total + step, 0);
}

/** What holds for the dead letters. */
export const DEAD_LETTERS_CONTRACT: Contract = {
  "dead letters are listed, the oldest first, without payloads": async (open) => {
    const store = await open();
    const messages = messagesOf(store);
    const late = await deadLetter(messages, "a", { atMs: 2_000 });
    const early = await deadLetter(messages, "sensor_b", { atMs: 1_000 });
    assert.deepEqual(await numbers(store.deadLetters), [early, late]);
    const [first] = await all(store.deadLetters.list());
    assert.equal(first?.deviceId, "sensor_b");
    assert.equal(first?.status, 422);
    assert.equal(first?.reason, "refused");
    assert.ok(!("payload" in first!));
    assert.equal(await store.deadLetters.count(), 2);
    assert.deepEqual(await store.deadLetters.extent(), {
      lastSequence: early,
      deviceIdMaxChars: 8,
    });
  },

  "a part of them is the newest first, of all devices or of some": async (open) => {
    const store = await open();
    const messages = messagesOf(store);
    const sequences: number[] = [];
    for (const [deviceId, atMs] of [["a", 1], ["b", 3], ["a", 2], ["c", 3]] as const) {
      sequences.push(await deadLetter(messages, deviceId, { atMs }));
    }
    const [a1, b3, a2, c3] = sequences;
    const newest = async (over: object = {}) => {
      const part = { deviceIds: undefined, before: undefined, limit: 10, ...over };
      return (await store.deadLetters.newest(part)).map(({ sequence }) => sequence);
    };
    assert.deepEqual(await newest(), [c3, b3, a2, a1]);
    assert.deepEqual(await newest({ limit: 1 }), [c3]);
    assert.deepEqual(await newest({ before: { deadLetteredAtMs: 3, sequence: c3 } }), [b3, a2, a1]);
    assert.deepEqual(await newest({ deviceIds: ["c", "a", "nobody"] }), [c3, a2, a1]);
    assert.deepEqual(await newest({ deviceIds: ["c", "a"], limit: 2 }), [c3, a2]);
    assert.deepEqual(await newest({ deviceIds: [] }), []);
  },

  "one is found with its bytes, and nothing by another number": async (open) => {
    const store = await open();
    const sequence = await deadLetter(messagesOf(store), "a", { text: "[1.50]" });
    const found = await store.deadLetters.find(sequence);
    assert.equal(new TextDecoder().decode(found?.payload), "[1.50]");
    assert.equal(await store.deadLetters.find(sequence + 1), undefined);
  },

  "requeue and drop take one, all of a device, or all, and say how many": async (open) => {
    const { deadLetters, ...store } = await open();
    const messages = messagesOf({ ...store, deadLetters });
    const sequences: number[] = [];
    for (const deviceId of ["a", "b", "a", "c"]) {
      sequences.push(await deadLetter(messages, deviceId));
    }
    assert.equal(await sum(deadLetters.requeue({ sequence: sequences[1]! }, 5)), 1);
    assert.equal(await sum(deadLetters.drop({ deviceId: "a" })), 2);
    assert.deepEqual(await numbers(deadLetters), [sequences[3]]);
    assert.equal(await sum(deadLetters.drop({ deviceId: "nobody" })), 0);
    assert.equal(await sum(deadLetters.drop("all")), 1);
    assert.equal(await deadLetters.count(), 0);
  },

  "what is requeued together keeps its order and bytes, and gets new numbers": async (open) => {
    const { deadLetters, ...store } = await open();
    const messages = messagesOf({ ...store, deadLetters });
    const before: number[] = [];
    for (let i = 0; i < 150; i++) {
      before.push(await deadLetter(messages, "a", { text: String(i), atMs: 1_000 - i }));
    }
    assert.equal(await sum(deadLetters.requeue("all", 5)), 150);
    const waiting = await all(messagesOf(await open("gateway")).backlog());
    assert.ok(waiting.every(({ sequence }) => sequence > before.at(-1)!));
    const texts: string[] = [];
    for (const { sequence } of waiting) {
      const [entry] = await messages.read([sequence]);
      texts.push(new TextDecoder().decode(entry!.payload));
    }
    assert.deepEqual(texts, before.map((_, i) => String(i)));
  },

  "over the count, the oldest deaths are dropped by a tidying commit": async (open) => {
    const store = await open();
    const messages = messagesOf(store, 2);
    const sequences: number[] = [];
    for (const atMs of [3_000, 1_000, 2_000]) {
      sequences.push(await deadLetter(messages, "a", { atMs }));
    }
    const result = await messages.commit(
      batch({ tidy: { heldSinceMs: undefined }, wallMs: 4_000 }),
    );
    assert.equal(result.expiredDeadLetters.count, 1);
    assert.deepEqual(await numbers(store.deadLetters), [sequences[2], sequences[0]]);
  },
};
