import assert from "node:assert/strict";
import { ACCEPTED } from "../../../support/sample_command.ts";
import { accept } from "./commands_contract.ts";
import { batch, candidate, deadLetter, messagesOf } from "./sample_batch.ts";
import { NOW } from "../../../support/judge.ts";
import type { Committed } from "../../../../src/core/ports.ts";
import { all, type Contract } from "./contract.ts";

const ID = "3f1c9a52-7f0e-4a53-9a4b-0d5f6b6f6b01";

/** What holds for the messages on their way. */
export const MESSAGES_CONTRACT: Contract = {
  "an accepted message is an entry, byte for byte, after it is opened again": async (open) => {
    const examined = [candidate("a", { messageId: ID, text: '{"t": 21.50}' })];
    await messagesOf(await open("gateway")).commit(batch({ examined }));
    const again = messagesOf(await open("gateway"));
    const [waiting] = await all(again.backlog());
    assert.equal(waiting?.deviceId, "a");
    const [entry] = await again.read([waiting!.sequence]);
    assert.equal(entry?.messageId, ID);
    assert.equal(new TextDecoder().decode(entry?.payload), '{"t": 21.50}');
  },

  "entries have rising numbers, and are read in their order": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const examined = ["a", "b", "a", "c"].map((deviceId) => candidate(deviceId));
    const { committed, pending } = await messages.commit(batch({ examined }));
    const sequences = committed.map((one) => one.kind === "accepted" ? one.entry.sequence : 0);
    assert.deepEqual(sequences, sequences.toSorted((one, other) => one - other));
    assert.equal(new Set(sequences).size, 4);
    assert.equal(pending, 4);
    const read = await messages.read([sequences[3]!, sequences[0]!]);
    assert.deepEqual(read.map(({ deviceId }) => deviceId), ["a", "c"]);
  },

  "the id of a command is taken: what comes back with it is replayed": async (open) => {
    const one = candidate("a");
    const { deviceId, messageId, timestampSeconds } = one.envelope;
    const command = { ...ACCEPTED, deviceId, messageId };
    const copy = { timestampSeconds, nowSeconds: NOW };
    const commandChanges = [accept(command, { copy })];
    await messagesOf(await open("gateway")).commit(batch({ commandChanges }));
    const { committed } = await messagesOf(await open("gateway")).commit(
      batch({ examined: [one] }),
    );
    assert.deepEqual(committed.map(({ kind }) => kind), ["rejected"]);
  },

  "where a reading is that was accepted before: in the outbox, a dead letter, or settled": async (
    open,
  ) => {
    const messages = messagesOf(await open("gateway"));
    const held = () => messages.held("a", ID.toUpperCase());
    const ofOther = candidate("b", { messageId: ID });
    const examined = [candidate("a"), candidate("a", { messageId: ID }), candidate("a"), ofOther];
    const { committed } = await messages.commit(batch({ examined }));
    const { sequence } = (committed[1] as Extract<Committed, { kind: "accepted" }>).entry;
    assert.equal(await held(), "pending");
    // A later segment of ids does not hide it.
    const wallMs = 1000 * (NOW + 400);
    await messages.commit(batch({ examined: [candidate("a")], wallMs }));
    assert.equal(await held(), "pending");
    const cause = { status: 422, reason: "refused", deadLetteredAtMs: wallMs };
    const dead = (sequence: number) =>
      messages.commit(batch({
        settlements: [{ sequence, deadLetter: cause }],
        wallMs,
      }));
    await dead(sequence);
    assert.equal(await held(), "dead");
    await all((await open()).deadLetters.requeue("all", wallMs));
    assert.equal(await held(), "pending");
    const { requeued } = await messages.commit(batch({ examined: [candidate("c")], wallMs }));
    await dead(requeued[0]!.sequence);
    assert.equal(await held(), "dead");
    await all((await open()).deadLetters.drop("all"));
    assert.equal(await held(), "settled");
    assert.equal(await messages.held("b", ID), "pending");
  },

  "ids are remembered as long as checks.remember says, counted from when they were used": async (
    open,
  ) => {
    const messages = messagesOf(await open("gateway"), undefined, {}, 3_600);
    const resigned = candidate("a", { messageId: ID });
    /** What comes of a reading with that id that is signed again, after all that is due was tidied. */
    const again = async (seconds: number) => {
      const at = NOW + seconds;
      const wallMs = 1000 * at;
      const tidy = { heldSinceMs: undefined };
      await messages.commit(batch({ examined: [candidate("b", { timestamp: at })], wallMs, tidy }));
      while ((await messages.commit(batch({ wallMs, tidy }))).untidy);
      const envelope = { ...resigned.envelope, timestamp: String(at), timestampSeconds: at };
      const one = { ...resigned, envelope, arrivedMs: wallMs };
      const { committed } = await messages.commit(batch({ examined: [one], wallMs }));
      return committed.map((one) => one.kind === "rejected" ? one.rejection.code : one.kind)[0];
    };
    assert.equal(await again(-5_000), "accepted");
    for (const seconds of [-4_000, -2_000, -1_400]) {
      assert.equal(await again(seconds), "replayed", `${seconds}`);
    }
    assert.equal(await again(-1_000), "accepted", "an hour and a segment later");
  },

  "a reading that was accepted late is remembered from then on, whatever its timestamp": async (
    open,
  ) => {
    const messages = messagesOf(await open("gateway"), undefined, {}, 3_600);
    const late = candidate("a", { messageId: ID, timestamp: NOW - 20_000 });
    const policy = { toleranceSeconds: 300, graceSeconds: 86_400, rate: undefined };
    const facts = { outageSinceSeconds: NOW - 20_000, monotonicMs: 0 };
    const first = await messages.commit(batch({ examined: [late], policy, facts }));
    assert.deepEqual(first.committed.map(({ kind }) => kind), ["accepted"]);
    const wallMs = 1000 * (NOW + 900);
    const tidy = { heldSinceMs: undefined };
    const other = candidate("b", { timestamp: NOW + 900 });
    await messages.commit(batch({ examined: [other], wallMs, tidy }));
    while ((await messages.commit(batch({ wallMs, tidy }))).untidy);
    const resigned = candidate("a", { messageId: ID, timestamp: NOW + 900 });
    const { committed } = await messages.commit(
      batch({ examined: [{ ...resigned, arrivedMs: wallMs }], wallMs }),
    );
    assert.deepEqual(committed.map(({ kind }) => kind), ["rejected"]);
  },

  "an id is taken once: in a batch, in the next, and after it is opened again": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const twice = [candidate("a", { messageId: ID }), candidate("a", { messageId: ID })];
    const kindsOf = async (on: typeof messages, examined: ReturnType<typeof candidate>[]) =>
      (await on.commit(batch({ examined }))).committed.map(({ kind }) => kind);
    assert.deepEqual(await kindsOf(messages, twice), ["accepted", "rejected"]);
    assert.deepEqual(await kindsOf(messages, twice), ["rejected", "rejected"]);
    const again = messagesOf(await open("gateway"));
    assert.deepEqual(await kindsOf(again, twice), ["rejected", "rejected"]);
    const redelivered = [candidate("a", { messageId: ID.toUpperCase(), redelivered: true })];
    assert.deepEqual(await kindsOf(again, redelivered), ["duplicate"]);
    assert.deepEqual(await kindsOf(again, [candidate("b", { messageId: ID })]), ["accepted"]);
  },

  "a message that did not verify leaves no entry, and its id is free": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const forged = [candidate("a", { messageId: ID, verified: false })];
    assert.equal((await messages.commit(batch({ examined: forged }))).pending, 0);
    const { committed } = await messages.commit(batch({
      examined: [candidate("a", { messageId: ID })],
    }));
    assert.equal(committed[0]?.kind, "accepted");
  },

  "a settled entry is gone, and its number is not used again": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const first = await messages.commit(batch({ examined: [candidate("a")] }));
    const sequence = first.committed[0]?.kind === "accepted" && first.committed[0].entry.sequence;
    const settlements = [{ sequence: sequence as number, deadLetter: undefined }];
    const next = await messages.commit(batch({ examined: [candidate("a")], settlements }));
    assert.equal(next.pending, 1);
    assert.deepEqual(await messages.read([sequence as number]), []);
    const later = next.committed[0]?.kind === "accepted" ? next.committed[0].entry.sequence : 0;
    assert.ok(later > (sequence as number));
  },

  "what another program requeues is handed on by the next commit, once": async (open) => {
    const messages = messagesOf(await open("gateway"));
    await deadLetter(messages, "a");
    await all((await open()).deadLetters.requeue("all", 1));
    const { requeued, pending } = await messages.commit(batch({ examined: [candidate("b")] }));
    assert.deepEqual(requeued.map(({ deviceId }) => deviceId), ["a"]);
    assert.equal(pending, 2);
    assert.deepEqual((await messages.commit(batch({ examined: [candidate("b")] }))).requeued, []);
  },

  "marks say when a gateway was last taking messages, and the newest timestamp": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const none = { offsetMs: 0, floorMs: 0 };
    const before = { attendedSeconds: undefined, newestSeconds: 0, steady: none };
    assert.deepEqual(await messages.marks(), before);
    const examined = [candidate("a")];
    await messages.commit(batch({ examined, attendedSeconds: 1_700_000_000 }));
    const { timestampSeconds: newestSeconds } = examined[0]!.envelope;
    const steady = { offsetMs: 0, floorMs: NOW * 1000 };
    const marks = { attendedSeconds: 1_700_000_000, newestSeconds, steady };
    assert.deepEqual(await messages.marks(), marks);
    assert.deepEqual(await (await open()).marks(), marks);
  },

  "marks say how the clock of the waiting entries is ahead of the wall clock": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const acceptedMs = NOW * 1000 - 5_000;
    await messages.commit(batch({ examined: [candidate("a")], acceptedMs }));
    const { steady } = await (await open()).marks();
    assert.deepEqual(steady, { offsetMs: -5_000, floorMs: acceptedMs });
    const [waiting] = await all((await open()).outbox.list());
    assert.equal(waiting!.acceptedMs, NOW * 1000, "an operator sees the wall clock");
  },

  "a lower count of the broker's drops is a new broker's": async (open) => {
    const messages = messagesOf(await open("gateway"));
    const counts = [];
    for (const total of [5, 5, 7, 2]) counts.push(await messages.countBrokerDrops(total));
    assert.deepEqual(counts, [5, 0, 2, 2]);
  },
};
