import assert from "node:assert/strict";
import { DeadLetters } from "../../../src/store/sqlite/dead_letters.ts";
import { Outbox } from "../../../src/store/sqlite/outbox.ts";
import { WaitingEntries } from "../../../src/store/sqlite/waiting_entries.ts";
import { Database } from "../../../src/store/sqlite/database.ts";

function withOutbox(work: (outbox: Outbox, store: Database) => void): void {
  const store = new Database(":memory:", { create: true });
  work(new Outbox(store), store);
  store.close();
}

const message = (deviceId: string, text: string) => ({
  deviceId,
  messageId: crypto.randomUUID(),
  timestamp: "1727712000",
  acceptedMs: 1_727_712_000_123,
  payload: new TextEncoder().encode(text),
});

Deno.test("an outbox entry comes back as it was put in, byte for byte", () => {
  withOutbox((outbox) => {
    const entry = outbox.append(message("sensor_001", '{"v":22.50,"é":"☕"}'));
    const read = outbox.read([entry.sequence])[0]!;
    assert.deepEqual({ ...read, payload: [...read.payload] }, {
      ...entry,
      payload: [...entry.payload],
    });
  });
});

Deno.test("the backlog comes in the order in which it was accepted", () => {
  withOutbox((outbox) => {
    const devices = ["b", "a", "b", "c"];
    for (const device of devices) outbox.append(message(device, "1"));
    assert.deepEqual([...outbox.after(0)].map(({ deviceId }) => deviceId), devices);
    assert.equal(outbox.count(), 4);
  });
});

Deno.test("entries are read in their order, and those that are gone are left out", () => {
  withOutbox((outbox) => {
    const sequences = [1, 2, 3, 4].map((i) => outbox.append(message("a", `${i}`)).sequence);
    outbox.remove(sequences[1]!);
    const read = outbox.read([3, 0, 1].map((place) => sequences[place]!));
    assert.deepEqual(read.map(({ sequence }) => sequence), [sequences[0], sequences[3]]);
  });
});

Deno.test("a dead letter keeps its bytes, its status and its reason", () => {
  withOutbox((outbox, store) => {
    const { sequence } = outbox.append(message("sensor_001", '{"v":1}'));
    const deadLetters = new DeadLetters(store);
    deadLetters.deadLetter(sequence, { status: 422, reason: "refused", deadLetteredAtMs: 5 });
    outbox.remove(sequence);
    assert.equal(outbox.count(), 0);
    assert.equal(deadLetters.count(), 1);
    const letter = store.prepare("SELECT * FROM dead_letters").get()!;
    assert.equal(new TextDecoder().decode(letter["payload"] as Uint8Array), '{"v":1}');
    assert.equal(letter["status"], 422);
    assert.equal(letter["reason"], "refused");
    assert.equal(letter["died_ms"], 5);
  });
});

Deno.test("a sequence number is never used again", () => {
  withOutbox((outbox) => {
    const first = outbox.append(message("sensor_001", "1"));
    outbox.remove(first.sequence);
    const second = outbox.append(message("sensor_001", "2"));
    assert.ok(second.sequence > first.sequence);
    assert.deepEqual(outbox.read([first.sequence]), []);
  });
});

Deno.test("an entry that is dropped dies by the clock of ages where this machine's is behind", () => {
  withOutbox((outbox, store) => {
    const waiting = new WaitingEntries(store);
    const [reachedMs, hourMs] = [1_727_712_000_000, 3_600_000];
    store.transaction(() => store.writeMark("age_clock_ms", reachedMs));
    for (
      const [nowMs, diedMs] of [[reachedMs - hourMs, reachedMs], [reachedMs + 1, reachedMs + 1]]
    ) {
      const { sequence } = outbox.append(message("sensor_001", "1"));
      assert.ok(waiting.drop(sequence, nowMs!));
      assert.equal(new DeadLetters(store).find(sequence)!.deadLetteredAtMs, diedMs);
    }
  });
});
