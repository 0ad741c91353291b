import assert from "node:assert/strict";
import { readDeviceCommand } from "../../../src/client/device_command.ts";
import { importSecret } from "../../../src/core/signature.ts";
import { NOBODY, QUEUED, request, withCommandPipeline } from "../../support/command_pipeline.ts";
import { DEVICE_ID, NOW, SECRET } from "../../support/judge.ts";

const KEPT = { ttlSeconds: 3600 };
const KEYED = { ...KEPT, idempotencyKey: "k1" };

Deno.test("a command is signed with the device's secret, and expires with the tolerance", async () => {
  await withCommandPipeline(async ({ requests, copies, words }) => {
    words.push(NOBODY);
    const result = await requests.send(request());
    const [copy] = copies;
    assert.equal(copy!.topic, `device/${DEVICE_ID}/command`);
    assert.deepEqual(copy!.properties, { messageExpiryInterval: 300 });
    const key = (await importSecret(SECRET))!;
    const options = { deviceId: DEVICE_ID, key, nowSeconds: NOW };
    const command = await readDeviceCommand(copy!.body, options);
    assert.deepEqual([command.valid, command.payload], [true, '{"n":22.50}']);
    const { messageId } = command;
    const expected = { kind: "accepted", messageId, timestamp: NOW, delivery: "no_subscriber" };
    assert.deepEqual(result, { ...expected, replayed: false });
  });
});

Deno.test("intent is on the disk before the publish, and the outcome before the answer", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { requests, store } = pipeline;
    const states: unknown[] = [];
    const look = async (messageId: string) => {
      const found = await store.commands.find({ deviceId: DEVICE_ID, messageId });
      states.push([found?.state, found?.delivery]);
    };
    pipeline.onPublish = ({ messageId }) => look(messageId);
    const result = await requests.send(request());
    assert.ok(result.kind === "accepted");
    await look(result.messageId);
    assert.deepEqual(states, [["sent", undefined], ["sent", "queued"]]);
  });
});

Deno.test("a store that cannot be written sends nothing", async () => {
  await withCommandPipeline(async ({ requests, faults, copies }) => {
    faults.push(new Error("disk full"));
    assert.deepEqual(await requests.send(request()), { kind: "unstored" });
    assert.deepEqual(copies, []);
  });
});

Deno.test("a device that is not active, or has no key, is sent nothing", async () => {
  await withCommandPipeline(async ({ requests, copies, store }) => {
    await store.registry.addAll([{ deviceId: "empty", sharedSecret: "", createdAt: 1 }]);
    for (const deviceId of ["nobody", "empty"]) {
      const result = await requests.send(request({ deviceId }));
      assert.deepEqual(result, { kind: "unknown_device" }, deviceId);
    }
    assert.deepEqual(copies, []);
  });
});

Deno.test("without a TTL nothing is kept of what was not sent", async () => {
  await withCommandPipeline(async ({ requests, words, broker, copies, store }) => {
    words.push({ kind: "refused", reason: "quota", reasonCode: 0x97 });
    words.push({ kind: "unsent", reason: "gone" });
    assert.deepEqual(await requests.send(request()), { kind: "unsent" });
    assert.deepEqual(await requests.send(request({ idempotencyKey: "k" })), { kind: "unsent" });
    broker.isConnected = false;
    assert.deepEqual(await requests.send(request()), { kind: "unsent" });
    assert.equal(copies.length, 2);
    const selection = { state: undefined, after: undefined, limit: 10 };
    assert.deepEqual(await store.commands.list(DEVICE_ID, selection), []);
    broker.isConnected = true; // the key is free again
    const again = await requests.send(request({ idempotencyKey: "k" }));
    assert.partialDeepStrictEqual(again, { kind: "accepted", replayed: false });
  });
});

Deno.test("a copy of which nobody knows is never sent twice, and the answer says so", async () => {
  await withCommandPipeline(async ({ requests, words, copies }) => {
    words.push({ kind: "unacknowledged", reason: "lost" });
    const asked = request({ idempotencyKey: "k" });
    const result = await requests.send(asked);
    assert.ok(result.kind === "unacknowledged");
    assert.deepEqual(await requests.send(asked), { ...result, replayed: true });
    assert.equal(copies.length, 1);
  });
});

Deno.test("with a TTL a command waits for the broker and for the device", async () => {
  await withCommandPipeline(async ({ requests, words, broker, store }) => {
    broker.isConnected = false;
    const stored = await requests.send(request(KEPT));
    assert.partialDeepStrictEqual(stored, { kind: "accepted", delivery: "stored" });
    broker.isConnected = true;
    words.push(NOBODY);
    const waiting = await requests.send(request(KEPT));
    assert.partialDeepStrictEqual(waiting, { kind: "accepted", delivery: "no_subscriber" });
    const selection = { state: "waiting", after: undefined, limit: 10 } as const;
    assert.equal((await store.commands.list(DEVICE_ID, selection)).length, 2);
  });
});

Deno.test("first copies go in the order of acceptance", async () => {
  await withCommandPipeline(async ({ requests, words, copies }) => {
    words.push(NOBODY);
    const first = await requests.send(request(KEPT));
    words.push(NOBODY); // the first is tried again, and the second not at all
    const second = await requests.send(request(KEPT));
    const third = await requests.send(request(KEPT));
    const ids = [first, first, first, second, third].map((one) =>
      one.kind === "accepted" && one.messageId
    );
    assert.deepEqual(copies.map(({ messageId }) => messageId), ids);
    assert.partialDeepStrictEqual(third, { delivery: "queued" });
  });
});

Deno.test("a command without a TTL does not go ahead of what waits", async () => {
  await withCommandPipeline(async ({ requests, words, copies }) => {
    words.push(NOBODY, NOBODY);
    await requests.send(request(KEPT));
    const plain = await requests.send(request());
    assert.partialDeepStrictEqual(plain, { kind: "accepted", delivery: "no_subscriber" });
    assert.equal(copies.length, 2);
    assert.equal(copies[0]!.messageId, copies[1]!.messageId);
  });
});

Deno.test("the same request brings the same answer, and another one with its key none", async () => {
  await withCommandPipeline(async ({ requests, copies, words }) => {
    words.push(NOBODY);
    const first = await requests.send(request(KEYED));
    assert.deepEqual(await requests.send(request(KEYED)), { ...first, replayed: true });
    assert.equal(copies.length, 1);
    const others = [
      { ...KEYED, ttlSeconds: 60 },
      { ...KEYED, ttlSeconds: undefined },
      { ...KEYED, payload: new TextEncoder().encode("1") },
      { ...KEYED, deviceId: "nobody" },
    ];
    for (const other of others) {
      assert.deepEqual(await requests.send(request(other)), { kind: "key_reused" });
    }
    const ofAnother = await requests.send(request({ ...KEYED, keyName: "other" }));
    assert.partialDeepStrictEqual(ofAnother, { kind: "accepted", replayed: false });
  });
});

Deno.test("a request whose key is being answered is told to wait", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { requests } = pipeline;
    const during: unknown[] = [];
    pipeline.onPublish = async () => {
      pipeline.onPublish = () => {};
      during.push(await requests.send(request(KEYED)));
    };
    await requests.send(request(KEYED));
    assert.deepEqual(during, [{ kind: "key_under_way" }]);
  });
});

Deno.test("what waits is cancelled; what was sent is withdrawn; what has ended stays", async () => {
  await withCommandPipeline(async ({ requests, words, copies }) => {
    words.push(NOBODY, QUEUED);
    const waiting = await requests.send(request(KEPT));
    assert.ok(waiting.kind === "accepted");
    const name = { deviceId: DEVICE_ID, messageId: waiting.messageId };
    assert.equal((await requests.cancel(name)).kind, "cancelled");
    assert.equal((await requests.cancel(name)).kind, "already_final");
    const sent = await requests.send(request(KEPT));
    assert.ok(sent.kind === "accepted");
    const result = await requests.cancel({ ...name, messageId: sent.messageId });
    assert.partialDeepStrictEqual(result, { kind: "withdrawn", command: { state: "sent" } });
    assert.deepEqual(await requests.cancel({ ...name, messageId: "x" }), { kind: "unknown" });
    assert.equal(copies.length, 2);
  });
});

Deno.test("a command of less than the tolerance is refused by every device in time", async () => {
  await withCommandPipeline(async ({ requests, copies }) => {
    await requests.send(request({ ttlSeconds: 60 }));
    assert.equal(copies[0]!.timestamp, NOW - 240);
    assert.deepEqual(copies[0]!.properties, { messageExpiryInterval: 60 });
  });
});

Deno.test("the same request has one answer after a crash before the first was given", async () => {
  await withCommandPipeline(async (pipeline) => {
    const { requests, time, copies } = pipeline;
    pipeline.onPublish = () => {
      throw new Error("the process ends here");
    };
    await assert.rejects(requests.send(request(KEYED)));
    const { messageId } = copies[0]!;
    const answer = { kind: "accepted", messageId, timestamp: NOW, delivery: "stored" };
    for (let i = 0; i < 2; i++) {
      time.wallMs += 60_000;
      assert.deepEqual(await requests.send(request(KEYED)), { ...answer, replayed: true });
    }
    assert.equal(copies.length, 1);
  });
});

Deno.test("without room among what waits, nothing is kept of what found nobody", async () => {
  const limits = { maxWaiting: 2 };
  await withCommandPipeline(async ({ requests, words, store, copies }) => {
    const others = ["a", "b", "c"].map((deviceId) => ({
      deviceId,
      sharedSecret: SECRET + deviceId,
      createdAt: 1,
    }));
    await store.registry.addAll(others);
    words.push(NOBODY, NOBODY, NOBODY);
    const ask = (deviceId: string) =>
      requests.send(request({ ...KEYED, deviceId, keyName: deviceId }));
    const kinds = [(await ask("a")).kind, (await ask("b")).kind, (await ask("c")).kind];
    assert.deepEqual(kinds, ["accepted", "accepted", "too_many_waiting"]);
    const { messageId } = copies[2]!;
    assert.equal(await store.commands.find({ deviceId: "c", messageId }), undefined);
    // A device that is there is not held up by those that are not, and the key is free again.
    assert.partialDeepStrictEqual(await ask("c"), { kind: "accepted", delivery: "queued" });
  }, limits);
});
