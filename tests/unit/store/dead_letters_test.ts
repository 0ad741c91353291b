import assert from "node:assert/strict";
import { DeadLetters } from "../../../src/store/sqlite/dead_letters.ts";
import { Outbox } from "../../../src/store/sqlite/outbox.ts";
import { Database } from "../../../src/store/sqlite/database.ts";
import { withFolder } from "../../support/with_folder.ts";

/** More than one page, and more than one batch. */
const MANY = 700;

interface Place {
  readonly store: Database;
  readonly outbox: Outbox;
  readonly letters: DeadLetters;
  /** Puts a message of a device into the outbox and buries it; returns its number. */
  deadLetter(deviceId: string, over?: { text?: string; deadLetteredAtMs?: number }): number;
  /** The payload texts in the outbox, in order. */
  waiting(): string[];
}

function placeAt(path: string): Place {
  const store = new Database(path, { create: true });
  const outbox = new Outbox(store);
  const letters = new DeadLetters(store);
  let made = 0;
  const deadLetter: Place["deadLetter"] = (
    deviceId,
    { text = String(++made), deadLetteredAtMs = made } = {},
  ) =>
    store.transaction(() => {
      const { sequence } = outbox.append({
        deviceId,
        messageId: crypto.randomUUID(),
        timestamp: "1727712000",
        acceptedMs: 1_727_712_000_123,
        payload: new TextEncoder().encode(text),
      });
      letters.deadLetter(sequence, { status: 422, reason: "refused", deadLetteredAtMs });
      outbox.remove(sequence);
      return sequence;
    });
  const waiting = () =>
    [...outbox.after(0)].map(({ sequence }) =>
      new TextDecoder().decode(outbox.read([sequence])[0]!.payload)
    );
  return { store, outbox, letters, deadLetter, waiting };
}

function withPlace(work: (place: Place) => void): void {
  const place = placeAt(":memory:");
  try {
    work(place);
  } finally {
    place.store.close();
  }
}

function sum(steps: Iterable<number>): number {
  return [...steps].reduce((total, step) => total + step, 0);
}

const numbers = (letters: DeadLetters) => [...letters.list()].map(({ sequence }) => sequence);

Deno.test("list() gives every dead letter once, the oldest first, without payloads", () => {
  withPlace(({ letters, deadLetter }) => {
    const inThreesMs = (i: number) => 1_000_000 - Math.floor(i / 3); // three at one time
    for (let i = 0; i < MANY; i++) deadLetter("sensor_001", { deadLetteredAtMs: inThreesMs(i) });
    const listed = [...letters.list()];
    assert.equal(listed.length, MANY);
    assert.equal(new Set(listed.map(({ sequence }) => sequence)).size, MANY);
    const sorted = listed.toSorted((a, b) =>
      a.deadLetteredAtMs - b.deadLetteredAtMs || a.sequence - b.sequence
    );
    assert.deepEqual(listed, sorted);
    assert.ok(listed.every((letter) => !("payload" in letter)));
    const { acceptedMs, status, reason, deviceId } = listed[0]!;
    assert.deepEqual([acceptedMs, status, reason, deviceId], [
      1_727_712_000_123,
      422,
      "refused",
      "sensor_001",
    ]);
  });
});

Deno.test("list() ends, though as many are added as it lists", () => {
  withPlace(({ letters, deadLetter }) => {
    for (let i = 0; i < MANY; i++) deadLetter("sensor_001");
    let listed = 0;
    for (const _ of letters.list()) {
      assert.ok(++listed <= MANY, "it would never end");
      deadLetter("sensor_001", { deadLetteredAtMs: 1_000_000 + listed });
    }
    assert.equal(listed, MANY);
  });
});

Deno.test("list() holds no lock while its reader takes its time: the log of writes stays short", async () => {
  await withFolder((folder) => {
    const { store, letters, deadLetter } = placeAt(`${folder}/gateway.db`);
    const other = placeAt(`${folder}/gateway.db`);
    for (let i = 0; i < MANY; i++) deadLetter("sensor_001");
    let listed = 0;
    for (const _ of letters.list()) {
      if (listed++ % 50 > 0) continue;
      other.deadLetter("sensor_002");
      const checkpoint = other.store.prepare("PRAGMA wal_checkpoint(TRUNCATE)").get()!;
      assert.equal(checkpoint["busy"], 0);
    }
    assert.equal(listed, MANY);
    other.store.close();
    store.close();
  });
});

Deno.test("find() gives a dead letter with its bytes, and nothing for another number", () => {
  withPlace(({ letters, deadLetter }) => {
    const sequence = deadLetter("sensor_001", {
      text: '{"v":22.50,"é":"☕"}',
      deadLetteredAtMs: 5,
    });
    const letter = letters.find(sequence)!;
    assert.equal(new TextDecoder().decode(letter.payload), '{"v":22.50,"é":"☕"}');
    assert.deepEqual([letter.status, letter.reason, letter.deadLetteredAtMs], [422, "refused", 5]);
    assert.equal(letters.find(sequence + 1), undefined);
  });
});

Deno.test("retry() puts it behind what waits, with the same bytes, key and timestamp", () => {
  withPlace(({ outbox, letters, deadLetter }) => {
    const sequence = deadLetter("sensor_001", { text: '{"v":22.50}' });
    const before = letters.find(sequence)!;
    const waiting = outbox.append({ ...before, messageId: crypto.randomUUID() });
    assert.deepEqual([...letters.requeue({ sequence }, 1_800_000_000_000)], [1]);
    const [first, second] = [...outbox.after(0)].map((entry) => outbox.read([entry.sequence])[0]!);
    assert.equal(first!.sequence, waiting.sequence);
    const { payload, messageId, timestamp, deviceId, acceptedMs } = second!;
    assert.deepEqual([...payload], [...before.payload]);
    assert.deepEqual([messageId, timestamp, deviceId], [
      before.messageId,
      before.timestamp,
      before.deviceId,
    ]);
    assert.equal(acceptedMs, 1_800_000_000_000, "its time to be delivered starts again");
    assert.equal(letters.count(), 0);
  });
});

Deno.test("retry() and drop() take one, all of one device, or all, and say how many", () => {
  for (const verb of ["retry", "drop"] as const) {
    withPlace(({ outbox, letters, deadLetter }) => {
      const devices = ["a", "b", "a", "c", "a"];
      const [, second] = devices.map((device) => deadLetter(device));
      const take = (selection: Parameters<DeadLetters["drop"]>[0]) =>
        sum(verb === "drop" ? letters.drop(selection) : letters.requeue(selection, 1));
      assert.equal(take({ sequence: 99 }), 0);
      assert.equal(take({ deviceId: "nobody" }), 0);
      assert.equal(take({ sequence: second! }), 1);
      assert.equal(take({ deviceId: "a" }), 3);
      assert.deepEqual([...letters.list()].map(({ deviceId }) => deviceId), ["c"]);
      assert.equal(take("all"), 1);
      assert.equal(take("all"), 0);
      assert.equal(outbox.count(), verb === "drop" ? 0 : devices.length);
    });
  }
});

Deno.test("retry() keeps the order of the outbox, not that in which they became dead letters, over all its batches", () => {
  withPlace(({ letters, deadLetter, waiting }) => {
    const texts = Array.from({ length: MANY }, (_, i) => String(i));
    texts.forEach((text, i) =>
      deadLetter("sensor_001", { text, deadLetteredAtMs: (i * 7919) % MANY })
    );
    const steps = [...letters.requeue("all", 1)];
    assert.ok(steps.length > 1 && Math.max(...steps) <= 64, String(steps));
    assert.equal(sum(steps), MANY);
    assert.deepEqual(waiting(), texts);
  });
});

Deno.test("retry() ends, though the backend refuses all of it again meanwhile", () => {
  withPlace(({ store, outbox, letters, deadLetter }) => {
    for (let i = 0; i < MANY; i++) deadLetter("sensor_001");
    let retried = 0;
    for (const step of letters.requeue({ deviceId: "sensor_001" }, 1)) {
      retried += step;
      store.transaction(() => {
        for (const { sequence } of [...outbox.after(0)]) {
          letters.deadLetter(sequence, {
            status: 422,
            reason: "refused again",
            deadLetteredAtMs: 1,
          });
          outbox.remove(sequence);
        }
      });
    }
    assert.equal(retried, MANY);
    assert.equal(letters.count(), MANY);
    assert.ok([...letters.list()].every(({ reason }) => reason === "refused again"));
  });
});

Deno.test("a retry that is cut short leaves each one in one place only", () => {
  withPlace(({ outbox, letters, deadLetter }) => {
    for (let i = 0; i < MANY; i++) deadLetter("sensor_001");
    const names = new Set([...letters.list()].map(({ messageId }) => messageId));
    for (const step of letters.requeue("all", 1)) if (step > 0) break;
    const moved = [...outbox.after(0)].map(({ sequence }) => outbox.read([sequence])[0]!.messageId);
    const left = [...letters.list()].map(({ messageId }) => messageId);
    assert.ok(moved.length > 0 && left.length > 0);
    assert.equal(moved.length + left.length, MANY);
    assert.deepEqual(new Set([...moved, ...left]), names);
  });
});

Deno.test("a dead letter's number is never another's, also when it is retried and deadLetters again", () => {
  withPlace(({ store, outbox, letters, deadLetter }) => {
    const first = deadLetter("sensor_001", { text: "same bytes" });
    sum(letters.requeue({ sequence: first }, 1));
    const [entry] = [...outbox.after(0)];
    store.transaction(() => {
      letters.deadLetter(entry!.sequence, {
        status: undefined,
        reason: "no answer",
        deadLetteredAtMs: 9,
      });
      outbox.remove(entry!.sequence);
    });
    assert.ok(entry!.sequence > first);
    assert.equal(letters.find(first), undefined);
    const again = letters.find(entry!.sequence)!;
    assert.equal(new TextDecoder().decode(again.payload), "same bytes");
    assert.equal(again.status, undefined);
  });
});

Deno.test("extent() is how much room a table needs", () => {
  withPlace(({ letters, deadLetter }) => {
    assert.deepEqual(letters.extent(), { lastSequence: 0, deviceIdMaxChars: 0 });
    deadLetter("a".repeat(64));
    deadLetter("b");
    assert.deepEqual(letters.extent(), { lastSequence: 2, deviceIdMaxChars: 64 });
  });
});

Deno.test("trim() drops the oldest deaths over the count, and only those", () => {
  withPlace(({ store, letters, deadLetter }) => {
    const late = deadLetter("sensor_001", { deadLetteredAtMs: 30 });
    const early = deadLetter("sensor_001", { deadLetteredAtMs: 10 });
    const middle = deadLetter("sensor_001", { deadLetteredAtMs: 20 });
    const trim = (maxCount: number) =>
      store.transaction(() => letters.expire({ maxCount, maxAgeMs: 1_000 }, 40)).count;
    assert.equal(trim(3), 0);
    assert.equal(trim(2), 1);
    assert.equal(letters.find(early), undefined);
    assert.deepEqual(numbers(letters), [middle, late]);
    assert.equal(trim(0), 2);
    assert.equal(letters.count(), 0);
  });
});

Deno.test("what is dropped is named up to a limit, then summed up by device", () => {
  withPlace(({ store, letters, deadLetter }) => {
    for (let i = 0; i < 50; i++) deadLetter(i % 2 ? "a" : "b", { deadLetteredAtMs: i });
    const limits = { maxCount: 0, maxAgeMs: 1_000 };
    const { count, named, others } = store.transaction(() => letters.expire(limits, 100));
    assert.deepEqual([count, named.length], [50, 20]);
    assert.deepEqual(others, new Map([["b", 15], ["a", 15]]));
    assert.match(named[0]!.messageId, /^[0-9a-f-]{36}$/);
  });
});

Deno.test("trim() drops what deadLetterd longer ago than the age, to the millisecond", () => {
  withPlace(({ store, letters, deadLetter }) => {
    deadLetter("sensor_001", { deadLetteredAtMs: 1_000 });
    const kept = deadLetter("sensor_001", { deadLetteredAtMs: 1_001 });
    const limits = { maxCount: 10, maxAgeMs: 500 };
    assert.equal(store.transaction(() => letters.expire(limits, 1_500)).count, 0);
    assert.equal(store.transaction(() => letters.expire(limits, 1_501)).count, 1);
    assert.deepEqual(numbers(letters), [kept]);
  });
});
