import assert from "node:assert/strict";
import type { Command } from "../../../../src/core/command_life.ts";
import type { CommandChange, RequestKey } from "../../../../src/core/command_store.ts";
import type { MessageStore } from "../../../../src/core/ports.ts";
import { NOW } from "../../../support/judge.ts";
import { ACCEPTED, wordOf } from "../../../support/sample_command.ts";
import { all, type Contract } from "./contract.ts";
import { batch, candidate, messagesOf } from "./sample_batch.ts";

const PAYLOAD = new TextEncoder().encode('{"unlock":1.50}');
const COPY = { timestampSeconds: NOW, nowSeconds: NOW };
const REQUEST: RequestKey = { keyName: "backend", key: "k1", digest: new Uint8Array(32) };
const { deviceId, messageId } = ACCEPTED;
const NAME = { deviceId, messageId };
const SEND: CommandChange = { kind: "send", name: NAME, copy: COPY };

/** A command is asked for. */
export function accept(
  command: Command,
  over: Partial<CommandChange & { kind: "accept" }> = {},
): CommandChange & { kind: "accept" } {
  const none = { copy: undefined, request: undefined, answer: undefined };
  return { kind: "accept", command, payload: PAYLOAD, ...none, ...over };
}

function conclude(outcome: "queued" | "no_subscriber" | "unsent" | "unknown"): CommandChange {
  return { kind: "conclude", name: NAME, outcome, answer: undefined };
}

async function make(messages: MessageStore, ...commandChanges: CommandChange[]) {
  return await messages.commit(batch({ commandChanges }));
}

async function acknowledge(messages: MessageStore, state: Parameters<typeof wordOf>[0]) {
  const acknowledgement = wordOf(state);
  const word = { kind: "acknowledgement", identity: deviceId, messageId, acknowledgement } as const;
  return await messages.commit(batch({ examined: [word] }));
}

const TIDY = { heldSinceMs: undefined };

/** What holds for commands, whichever engine keeps them. */
export const COMMANDS_CONTRACT: Contract = {
  "a command waits, byte for byte, after it is opened again": async (open) => {
    await make(messagesOf(await open("gateway")), accept(ACCEPTED));
    const { commands } = await open("gateway");
    assert.deepEqual(await commands.find(NAME), ACCEPTED);
    const waiting = await commands.nextWaiting(deviceId, NOW);
    assert.deepEqual(waiting?.payload, PAYLOAD);
    assert.equal(await commands.nextWaiting(deviceId, ACCEPTED.expiresSeconds), undefined);
    assert.deepEqual(await commands.devices(), [deviceId]);
    assert.equal(await commands.find({ deviceId: "other", messageId }), undefined);
  },

  "a part of them is the newest first, of all devices or of some, in a state or any": async (
    open,
  ) => {
    const store = await open("gateway");
    const ids = ["c", "a", "b"].map((one) => `${one}60f9500-f30c-42e5-b827-557766551111`);
    const [first, second, third] = ids;
    const owners = ["one", "two", "one"];
    const changes = ids.map((messageId, i) =>
      accept({ ...ACCEPTED, messageId, deviceId: owners[i]! })
    );
    await make(messagesOf(store), ...changes);
    const newest = async (over: object = {}) => {
      const all = { deviceIds: undefined, state: undefined, before: undefined, limit: 10 };
      const { commands, next } = await store.commands.newest({ ...all, ...over });
      return { ids: commands.map(({ messageId }) => messageId), next };
    };
    assert.deepEqual(await newest(), { ids: [third, second, first], next: undefined });
    const page = await newest({ limit: 2 });
    assert.deepEqual(page.ids, [third, second]);
    assert.deepEqual(await newest({ limit: 2, before: page.next }), {
      ids: [first],
      next: undefined,
    });
    assert.deepEqual((await newest({ deviceIds: ["one"] })).ids, [third, first]);
    assert.deepEqual((await newest({ deviceIds: ["two", "nobody"] })).ids, [second]);
    assert.deepEqual((await newest({ deviceIds: [] })).ids, []);
    assert.deepEqual((await newest({ state: "done" })).ids, []);
    assert.deepEqual((await newest({ state: "waiting" })).ids, [third, second, first]);
  },

  "those that wait are read in the order of acceptance": async (open) => {
    const store = await open("gateway");
    const ids = ["c", "a", "b"].map((one) => `${one}60f9500-f30c-42e5-b827-557766551111`);
    const changes = ids.map((messageId) => accept({ ...ACCEPTED, messageId }));
    await make(messagesOf(store), ...changes);
    const listed = await store.commands.list(deviceId, {
      ...{ state: undefined, after: ids[0], limit: 1 },
    });
    assert.deepEqual(listed.map(({ messageId }) => messageId), [ids[1]]);
    const first = await store.commands.nextWaiting(deviceId, NOW);
    assert.equal(first?.command.messageId, ids[0]);
  },

  "all commands are read page by page, of a device or of all, in a state or in any": async (
    open,
  ) => {
    const store = await open("gateway");
    const messages = messagesOf(store, 1, { maxWaiting: 1000, maxWaitingPerDevice: 1000 });
    const ids = Array.from({ length: 600 }, () => crypto.randomUUID());
    const devices = [deviceId, "other"];
    const changes = ids.map((messageId, i) =>
      accept({ ...ACCEPTED, messageId, deviceId: devices[i % 2]! })
    );
    await make(messages, ...changes);
    await make(messages, { kind: "cancel", name: { deviceId, messageId: ids[4]! } });
    const read = async (which: Parameters<typeof store.commands.all>[0]) =>
      (await all(store.commands.all(which))).map(({ messageId }) => messageId);
    assert.deepEqual(await read({}), ids);
    assert.deepEqual(await read({ deviceId }), ids.filter((_, i) => i % 2 === 0));
    assert.deepEqual(await read({ state: "cancelled" }), [ids[4]]);
    assert.deepEqual(await read({ deviceId: "other", state: "cancelled" }), []);
  },

  "an intent, its outcome and the device's word are each on the disk": async (open) => {
    const messages = messagesOf(await open("gateway"));
    await make(messages, accept(ACCEPTED));
    const states: unknown[] = [];
    const look = async () => {
      const { commands } = await open("gateway");
      const { state, delivery, copies } = (await commands.find(NAME))!;
      states.push([state, delivery, copies]);
    };
    await make(messages, SEND);
    await look();
    await make(messages, conclude("no_subscriber"));
    await look();
    await make(messages, SEND, conclude("queued"));
    await look();
    await acknowledge(messages, "done");
    await look();
    assert.deepEqual(states, [
      ["sent", undefined, 1],
      ["waiting", "no_subscriber", 0],
      ["sent", "queued", 1],
      ["done", "queued", 1],
    ]);
    const store = await open("gateway");
    assert.equal(await store.commands.hasAcknowledged(deviceId), true);
    assert.deepEqual((await store.commands.find(NAME))?.acknowledgement, wordOf("done"));
    assert.deepEqual(await store.commands.devices(), []);
  },

  "the word of another device is of no command": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    await make(messages, accept(ACCEPTED, { copy: COPY }));
    const acknowledgement = wordOf("done");
    const word = { kind: "acknowledgement", identity: "b", messageId, acknowledgement } as const;
    const { committed: [one] } = await messages.commit(batch({ examined: [word] }));
    assert.equal(one?.kind, "acknowledgement_unmatched");
    assert.equal((await store.commands.find(NAME))?.state, "sent");
    assert.equal(await store.commands.hasAcknowledged("b"), false);
  },

  "a key is taken once, and keeps the answer": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    await make(messages, accept(ACCEPTED, { request: REQUEST, copy: COPY }));
    assert.equal((await store.commands.request(REQUEST))?.answer, undefined);
    const again = { ...ACCEPTED, messageId: "760f9500-f30c-42e5-b827-557766551111" };
    const { commandResults } = await make(messages, accept(again, { request: REQUEST }));
    assert.deepEqual(commandResults, [{ kind: "key_used" }]);
    const answer = { timestampSeconds: NOW, delivery: "queued" } as const;
    await make(messages, { kind: "conclude", name: NAME, outcome: "queued", answer });
    assert.deepEqual(await store.commands.request(REQUEST), {
      ...NAME,
      ...{ digest: REQUEST.digest, createdSeconds: NOW, answer },
    });
  },

  "what is forgotten leaves nothing, also no key": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    await make(messages, accept(ACCEPTED, { request: REQUEST, copy: COPY }));
    await make(messages, { kind: "forget", name: NAME });
    assert.equal(await store.commands.find(NAME), undefined);
    assert.equal(await store.commands.request(REQUEST), undefined);
  },

  "more than may wait is refused, of a device and of all": async (open) => {
    const limits = { maxWaiting: 3, maxWaitingPerDevice: 2 };
    const messages = messagesOf(await open("gateway"), 10, limits);
    const of = (deviceId: string) =>
      accept({ ...ACCEPTED, deviceId, messageId: crypto.randomUUID() });
    const { commandResults } = await make(messages, ...["a", "a", "a", "b", "b"].map(of));
    assert.deepEqual(
      commandResults.map(({ kind }) => kind),
      ["changed", "changed", "too_many_waiting", "changed", "too_many_waiting"],
    );
  },

  "what is sent again takes turns, however much of it is never acknowledged": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    const names = Array.from({ length: 20 }, () => ({ deviceId, messageId: crypto.randomUUID() }));
    await make(messages, ...names.map((name) => accept({ ...ACCEPTED, ...name }, { copy: COPY })));
    const first = await store.commands.unacknowledged(deviceId, NOW);
    const copy = { ...COPY, nowSeconds: NOW + 1 };
    const sendAgain = first.map(({ command: { messageId } }): CommandChange => (
      { kind: "send", name: { deviceId, messageId }, copy }
    ));
    await make(messages, ...sendAgain);
    const next = await store.commands.unacknowledged(deviceId, NOW);
    const ids = new Set([...first, ...next].map(({ command }) => command.messageId));
    assert.equal(ids.size, names.length);
  },

  "a wall clock that is far ahead for a moment makes no key and no record old": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store, 10, { keepMs: 5_000_000, keepKeysMs: 5_000_000 });
    await make(messages, accept(ACCEPTED, { request: REQUEST }), { kind: "cancel", name: NAME });
    const now = { wallMs: 1000 * NOW, acceptedMs: 1000 * NOW };
    await messages.commit(batch({ ...now, tidy: TIDY }));
    const ahead = { wallMs: 1000 * (NOW + 1e6), acceptedMs: 1000 * (NOW + 1) };
    await messages.commit(batch({ ...ahead, tidy: TIDY }));
    assert.notEqual(await store.commands.request(REQUEST), undefined);
    assert.notEqual(await store.commands.find(NAME), undefined);
  },

  "time ends what waits and what was sent, and takes the payload": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    const sent = { ...ACCEPTED, messageId: "760f9500-f30c-42e5-b827-557766551111" };
    await make(messages, accept(ACCEPTED), accept(sent, { copy: COPY }));
    const wallMs = 1000 * ACCEPTED.expiresSeconds;
    await messages.commit(batch({ tidy: TIDY, wallMs }));
    assert.equal((await store.commands.find(NAME))?.state, "expired");
    assert.equal((await store.commands.find(sent))?.state, "unconfirmed");
    assert.equal(await store.commands.nextWaiting(deviceId, NOW), undefined);
    await acknowledge(messages, "done");
    assert.equal((await store.commands.find(NAME))?.state, "expired");
  },

  "commands and keys are deleted when they are old": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store, 10, { keepMs: 5_000, keepKeysMs: 7_000_000 });
    await make(messages, accept(ACCEPTED, { request: REQUEST }));
    const tidyAt = (seconds: number) =>
      messages.commit(
        batch({ tidy: TIDY, wallMs: 1000 * seconds, acceptedMs: 1000 * seconds }),
      );
    await tidyAt(ACCEPTED.expiresSeconds);
    await tidyAt(ACCEPTED.expiresSeconds + 5);
    assert.notEqual(await store.commands.find(NAME), undefined);
    await tidyAt(ACCEPTED.expiresSeconds + 6);
    assert.equal(await store.commands.find(NAME), undefined);
    assert.notEqual(await store.commands.request(REQUEST), undefined);
    await tidyAt(NOW + 7_001);
    assert.equal(await store.commands.request(REQUEST), undefined);
  },

  "each new state is told to the backend once, in the device's lane": async (open) => {
    const callbackPath = "/states";
    const messages = messagesOf(await open("gateway"), 10, { callbackPath });
    await make(messages, accept(ACCEPTED));
    const told: unknown[] = [];
    const tell = ({ callbacks }: Awaited<ReturnType<typeof make>>) =>
      told.push(...callbacks.map(({ commandState }) => commandState));
    tell(await make(messages, SEND));
    tell(await make(messages, conclude("no_subscriber")));
    tell(await make(messages, SEND, conclude("queued")));
    tell(await acknowledge(messages, "running"));
    tell(await acknowledge(messages, "running"));
    tell(await acknowledge(messages, "done"));
    assert.deepEqual(told, ["sent", "running", "done"]);
    const waiting = await all(messagesOf(await open("gateway")).backlog());
    assert.deepEqual(waiting.map(({ deviceId }) => deviceId), [deviceId, deviceId, deviceId]);
  },

  "a copy that nobody has concluded is named, until somebody does": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store);
    await make(messages, accept(ACCEPTED));
    assert.deepEqual(await store.commands.unconcluded(), []);
    await make(messages, SEND);
    assert.deepEqual(await store.commands.unconcluded(), [NAME]);
    await make(messages, conclude("unknown"));
    assert.deepEqual(await store.commands.unconcluded(), []);
    assert.equal((await store.commands.find(NAME))?.state, "sent");
  },

  "a callback says what it is wherever it is, and it is no reading": async (open) => {
    const store = await open("gateway");
    const messages = messagesOf(store, 10, { callbackPath: "/states" });
    await make(messages, accept(ACCEPTED));
    const { callbacks: [callback] } = await acknowledge(messages, "done");
    assert.equal(await store.outbox.findMessage(deviceId, messageId), undefined);
    const [waiting] = await all(store.outbox.list());
    assert.equal(waiting?.commandState, "done");
    const { sequence } = callback!;
    assert.deepEqual(await messages.read([sequence]), [callback]);
    assert.equal(JSON.parse(new TextDecoder().decode(callback!.payload)).state, "done");
    const deadLetter = { status: 422, reason: "refused", deadLetteredAtMs: 1000 * NOW };
    await messages.commit(batch({ settlements: [{ sequence, deadLetter }] }));
    assert.equal((await store.deadLetters.find(sequence))?.commandState, "done");
    assert.equal(await store.deadLetters.findMessage(deviceId, messageId), undefined);
    await all(store.deadLetters.requeue("all", 1000 * NOW));
    const [requeued] = await all(store.outbox.list());
    const [again] = await messages.read([requeued!.sequence]);
    assert.deepEqual(
      [again!.commandState, again!.messageId, again!.payload],
      ["done", messageId, callback!.payload],
    );
  },

  "what an earlier run has left says which of it are callbacks": async (open) => {
    const messages = messagesOf(await open("gateway"), 10, { callbackPath: "/states" });
    await make(messages, accept(ACCEPTED));
    for (const state of ["received", "running", "done"] as const) {
      await acknowledge(messages, state);
      await messages.commit(batch({ examined: [candidate(deviceId)] }));
    }
    const waiting = await all(messagesOf(await open("gateway")).backlog());
    const reading = undefined;
    assert.deepEqual(
      waiting.map(({ isCallback }) => isCallback),
      [true, reading, true, reading, true, reading],
    );
  },

  "a device that is removed has no commands any longer": async (open) => {
    const store = await open("gateway");
    await store.registry.addAll([{ deviceId, sharedSecret: "s", createdAt: 1 }]);
    const messages = messagesOf(store);
    await make(messages, accept(ACCEPTED));
    await acknowledge(messages, "received");
    await store.registry.remove(deviceId);
    assert.equal(await store.commands.nextWaiting(deviceId, NOW), undefined);
    assert.equal(await store.commands.hasAcknowledged(deviceId), false);
    assert.deepEqual(await store.commands.devices(), []);
  },
};
