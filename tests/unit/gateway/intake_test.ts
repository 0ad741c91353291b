import { LaneHolds } from "../../../src/gateway/pipeline/lane_holds.ts";
import { Lanes } from "../../../src/gateway/pipeline/lanes.ts";
import assert from "node:assert/strict";
import type { OutboxEntry } from "../../../src/core/outbox_entry.ts";
import type { InboundMessage } from "../../../src/core/ports.ts";
import { MARKER_TOPIC } from "../../../src/core/topic.ts";
import { Intake } from "../../../src/gateway/pipeline/intake.ts";
import type { RefusedMessage } from "../../../src/gateway/pipeline/receipts.ts";
import { Verifier } from "../../../src/gateway/pipeline/verifier.ts";
import { DeviceKeys } from "../../../src/store/device_keys.ts";
import { poll } from "../../../src/time/poll.ts";
import { inbound } from "../../support/inbound_message.ts";
import { DEVICE_ID, message } from "../../support/judge.ts";
import { type PipelineStore, withPipelineStore } from "../../support/pipeline_store.ts";

interface Bench extends PipelineStore {
  readonly intake: Intake;
  /** What the forwarder got. */
  readonly entries: OutboxEntry[];
  /** The texts that were acknowledged. */
  readonly acknowledged: string[];
  /** What may get a receipt. */
  readonly refused: RefusedMessage[];
  /** Kinds of the events so far. */
  kinds(): string[];
  take(text: string, over?: Partial<InboundMessage>): void;
}

async function withIntake(
  work: (bench: Bench) => Promise<void>,
  { maxPending = 10_000 } = {},
): Promise<void> {
  await withPipelineStore(async (pipeline) => {
    const entries: OutboxEntry[] = [];
    const acknowledged: string[] = [];
    const refused: RefusedMessage[] = [];
    const verifier = new Verifier(await DeviceKeys.load(pipeline.store.registry));
    const forwarder = {
      add: (entry: OutboxEntry) => entries.push(entry),
      requeue: () => {},
      remove: () => {},
      holds: new LaneHolds(new Lanes(), { monotonicMs: () => 0 }, () => {}),
    };
    pipeline.committer.start({ pending: 0, entries: forwarder, commands: { changed: () => {} } });
    const commands = { heard: () => {} };
    const limits = { maxPending, toleranceSeconds: 300 };
    const receipts = { rejected: (one: RefusedMessage) => refused.push(one) };
    const intake = new Intake({ ...pipeline, verifier, commands, receipts }, limits);
    const take = (text: string, over: Partial<InboundMessage> = {}) =>
      intake.take({ ...inbound(text, () => acknowledged.push(text)), ...over });
    const kinds = () => pipeline.events.map(({ kind }) => kind);
    try {
      await work({ ...pipeline, intake, entries, acknowledged, refused, kinds, take });
    } finally {
      await intake.close();
    }
  });
}

/** Signed messages with ids of their own. */
function messages(count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, () => message("1", { messageId: crypto.randomUUID() })),
  );
}

Deno.test("a message is acknowledged when it is on the disk, and not before", async () => {
  await withIntake(async ({ take, store, faults, committer, acknowledged, entries, kinds }) => {
    const [text] = await messages(1);
    faults.push(new Error("disk full"));
    take(text!);
    await poll("the failure", () => committer.fault !== undefined);
    assert.deepEqual([acknowledged, entries], [[], []]);
    await poll("the acknowledgement", () => acknowledged.length > 0);
    assert.equal((await store.marks()).newestSeconds, Number(entries[0]!.timestamp));
    assert.deepEqual(kinds(), ["store_failed", "store_recovered", "message_accepted"]);
  });
});

Deno.test("what comes while a batch is written is the next batch, acknowledged in its order", async () => {
  await withIntake(async ({ take, batches, acknowledged, entries }) => {
    const texts = await messages(5);
    for (const text of texts) take(text);
    await poll("the acknowledgements", () => acknowledged.length === 5);
    assert.deepEqual(acknowledged, texts);
    const sizes = batches.map(({ examined }) => examined.length);
    assert.deepEqual(sizes.filter((size) => size > 0), [1, 4]);
    assert.equal(entries.length, 5);
  });
});

Deno.test("a refused message and a repeated one are acknowledged, and go nowhere", async () => {
  await withIntake(async ({ take, acknowledged, entries, refused, kinds }) => {
    const [text] = await messages(1);
    take(text!);
    take("{");
    take(text!, { redelivered: true });
    await poll("the acknowledgements", () => acknowledged.length === 3);
    assert.deepEqual(kinds(), ["message_accepted", "message_rejected", "message_duplicate"]);
    assert.equal(entries.length, 1);
    assert.deepEqual(refused.map(({ identity, rejection }) => [identity, rejection.code]), [
      [DEVICE_ID, "malformed"],
    ]);
  });
});

Deno.test("a full outbox pauses the intake, and room lets it go on", async () => {
  await withIntake(async ({ take, intake, committer, entries, acknowledged, kinds }) => {
    for (const text of await messages(3)) take(text);
    await poll("the pause", () => intake.isPaused);
    assert.equal(acknowledged.length, 2);
    committer.settle({ sequence: entries[0]!.sequence, deadLetter: undefined });
    await poll("the third", () => acknowledged.length === 3);
    const accepted = "message_accepted";
    const told = [accepted, accepted, "intake_paused", "intake_resumed", accepted];
    assert.deepEqual(kinds().slice(0, 5), told);
  }, { maxPending: 2 });
});

Deno.test("what waits for a batch goes with its connection, but for QoS 0", async () => {
  await withIntake(async ({ take, intake, acknowledged, entries }) => {
    const [first, lost, kept] = await messages(3);
    take(first!);
    take(lost!);
    take(kept!, { needsAck: false });
    intake.sessionResumed();
    await poll("the entries", () => entries.length === 2);
    assert.deepEqual(acknowledged, [first, kept]);
  });
});

Deno.test("QoS 0 beyond 2,000 waiting messages is dropped and counted", async () => {
  await withIntake(async ({ take, intake, events }) => {
    for (let i = 0; i < 2_005; i++) take("{", { needsAck: false });
    await intake.close();
    const dropped = events.filter(({ kind }) => kind === "qos0_dropped");
    assert.deepEqual(dropped, [{ kind: "qos0_dropped", count: 4 }], "the first is in its batch");
  });
});

Deno.test("the marker is acknowledged and not examined, and ends the outage", async () => {
  await withIntake(async ({ take, catchUp, markers, batches, acknowledged, kinds }) => {
    catchUp.end("broker");
    take(new TextDecoder().decode(markers[0]), { topic: MARKER_TOPIC });
    await poll("the acknowledgement", () => acknowledged.length === 1);
    assert.ok(batches.every(({ examined }) => examined.length === 0));
    assert.deepEqual([kinds(), catchUp.isDone], [["caught_up"], true]);
  });
});

Deno.test("after stopTaking() nothing is taken, and what waited stays with the broker", async () => {
  await withIntake(async ({ take, intake, acknowledged }) => {
    const [first, waiting, late] = await messages(3);
    take(first!);
    take(waiting!);
    intake.stopTaking();
    take(late!);
    await intake.close();
    assert.deepEqual(acknowledged, [first]);
  });
});
