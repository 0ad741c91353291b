import assert from "node:assert/strict";
import { poll } from "../../../src/time/poll.ts";
import {
  type CommandPipeline,
  NOBODY,
  request,
  withCommandPipeline,
} from "../../support/command_pipeline.ts";
import { DEVICE_ID, NOW } from "../../support/judge.ts";
import { ACCEPTED, wordOf } from "../../support/sample_command.ts";

const KEPT = { ttlSeconds: 3600 };

/** Asks for a kept command; returns its name. */
async function ask({ requests }: CommandPipeline) {
  const result = await requests.send(request(KEPT));
  assert.ok(result.kind === "accepted");
  return { deviceId: DEVICE_ID, messageId: result.messageId };
}

async function settled({ store }: CommandPipeline, name: Awaited<ReturnType<typeof ask>>) {
  return await poll("a command that has left", async () => {
    const command = await store.commands.find(name);
    return command?.delivery === "queued" ? command : undefined;
  });
}

Deno.test("what waits is sent when the device is heard, under the same message_id", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { words, copies, time, sender } = pipeline;
    words.push(NOBODY);
    const name = await ask(pipeline);
    time.monotonicMs += 100_000;
    time.wallMs += 100_000;
    sender.heard(DEVICE_ID);
    await settled(pipeline, name);
    assert.deepEqual(copies.map(({ messageId }) => messageId), [name.messageId, name.messageId]);
    assert.deepEqual(copies.map(({ timestamp }) => timestamp), [NOW, NOW + 100]);
  });
});

Deno.test("what waits is sent when the broker is back", async () => {
  await withCommandPipeline(async (pipeline) => {
    pipeline.broker.isConnected = false;
    const name = await ask(pipeline);
    assert.equal(pipeline.copies.length, 0);
    pipeline.broker.isConnected = true;
    pipeline.sender.connected();
    await settled(pipeline, name);
  });
});

Deno.test("a device that was never heard to acknowledge gets no second copy", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { sender, copies, time } = pipeline;
    await ask(pipeline);
    time.wallMs += 1_000_000;
    time.monotonicMs += 1_000_000;
    sender.heard(DEVICE_ID);
    await poll("no device left", () => sender.devices === 0);
    assert.equal(copies.length, 1);
  });
});

Deno.test("one that acknowledges gets another when it is heard, until it has spoken", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { sender, copies, time, store, committer } = pipeline;
    const first = await ask(pipeline);
    const acknowledge = async ({ messageId }: typeof first) => {
      const acknowledgement = wordOf("done");
      const word = {
        ...{ kind: "acknowledgement", identity: DEVICE_ID, messageId, acknowledgement } as const,
      };
      await committer.commit({
        ...{
          examine: () => Promise.resolve({ examined: [word], registryRevision: undefined }),
          tidying: () => undefined,
        },
        committed: () => {},
      });
    };
    await acknowledge(first);
    const second = await ask(pipeline);
    time.wallMs += 20_000;
    time.monotonicMs += 20_000;
    sender.heard(DEVICE_ID);
    await poll("a second copy", () => copies.length === 3);
    await poll("its outcome", async () => (await store.commands.find(second))?.sends === 2);
    await acknowledge(second);
    time.monotonicMs += 400_000;
    time.wallMs += 400_000;
    sender.heard(DEVICE_ID);
    await poll("no device left", () => sender.devices === 0);
    assert.equal(copies.length, 3);
  });
});

Deno.test("what is cancelled while it waits is not sent", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { words, copies, time, sender, requests } = pipeline;
    words.push(NOBODY);
    const name = await ask(pipeline);
    assert.equal((await requests.cancel(name)).kind, "cancelled");
    time.monotonicMs += 100_000;
    sender.heard(DEVICE_ID);
    await poll("no device left", () => sender.devices === 0);
    assert.equal(copies.length, 1);
  });
});

Deno.test("a copy is not published beyond the command's end, however long the disk took", async () => {
  await withCommandPipeline(async ({ sender, time, copies }) => {
    const command = { ...ACCEPTED, expiresSeconds: NOW + 10 };
    const stored = { command, payload: new TextEncoder().encode("1") };
    const copy = sender.copyOf(command);
    time.wallMs += 4_000;
    assert.equal(await sender.publish(stored, copy), "queued");
    assert.deepEqual(copies.map(({ properties }) => properties), [{ messageExpiryInterval: 6 }]);
    time.wallMs += 6_000;
    assert.equal(await sender.publish(stored, copy), "unsent");
    assert.equal(copies.length, 1);
  });
});

Deno.test("commands for a revoked device wait, and cost less and less", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { words, copies, time, sender, store } = pipeline;
    words.push(NOBODY);
    const name = await ask(pipeline);
    await store.registry.revoke(DEVICE_ID, { revokedAt: NOW, reason: "lost" });
    let reads = 0;
    const { nextWaiting } = store.commands;
    store.commands.nextWaiting = (...one) => (reads++, nextWaiting.apply(store.commands, one));
    for (let second = 0; second < 600; second++) {
      time.monotonicMs += 1_000;
      sender.heard(DEVICE_ID);
      await new Promise((resolve) => setTimeout(resolve));
    }
    assert.ok(reads < 20, `${reads} tries`);
    assert.equal(copies.length, 1);
    assert.equal((await store.commands.find(name))?.state, "waiting");
  });
});
