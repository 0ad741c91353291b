import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { poll } from "../../src/time/poll.ts";
import { answerItems, itemsOf } from "../support/batch_backend.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const SETTINGS = { BACKEND_BATCH_MAX: "100" };

/** A site whose gateway sends batches. */
async function withBatches(
  work: (site: LiveSite) => Promise<void>,
  settings: Readonly<Record<string, string>> = {},
): Promise<void> {
  await withLiveSite(work, { settings: { ...SETTINGS, ...settings } });
}

/** What each device got, as "status text", in the order of sending. */
async function answersTo(
  device: Awaited<ReturnType<LiveSite["device"]>>,
  sent: readonly { messageId: string }[],
): Promise<string[]> {
  const answers = [];
  for (const { messageId } of sent) {
    const { status, text } = await device.response(messageId);
    answers.push(`${status} ${text}`);
  }
  return answers;
}

const settled = (site: LiveSite) =>
  poll("nothing to wait", async () => await site.metric("pending") === 0);

/** Lets readings pile up behind a first batch, which is held until `release`. */
function holdFirst(site: LiveSite) {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { answer } = site.backend;
  let first = true;
  const inner = { answer };
  site.backend.answer = async (reading) => {
    if (first) {
      first = false;
      await promise;
    }
    return await inner.answer(reading);
  };
  return { release: resolve, inner };
}

Deno.test("readings go as batches, in order, and each device gets the body of its item", async () => {
  await withBatches(async (site) => {
    const { release, inner } = holdFirst(site);
    inner.answer = (reading) =>
      answerItems(reading, ({ device_id, payload }) => ({
        status: 200,
        body: { to: device_id, got: payload },
      }));
    const devices = await Promise.all(["a", "b"].map((id) => site.device(id)));
    const [a, b] = devices as [typeof devices[0], typeof devices[0]];
    const sent = [await a.send('{"t":22.50}')];
    await site.received(1);
    for (let i = 1; i < 30; i++) sent.push(await a.send(String(i)));
    release();
    const answers = await answersTo(a, sent);
    assert.equal(answers[0], '200 {"to":"a","got":{"t":22.5}}');
    assert.equal(answers[29], '200 {"to":"a","got":29}');
    const other = await b.send("7");
    assert.equal((await b.response(other.messageId)).text, '{"to":"b","got":7}');
    const batches = site.backend.received;
    assert.ok(batches.length < 20, `${batches.length} batches`);
    assert.ok(batches.every(({ path }) => path === "/batch"));
    assert.equal(
      batches[0]!.text,
      `[{"device_id":"a","message_id":"${sent[0]!.messageId}",` +
        `"timestamp":${itemsOf(batches[0]!)[0]!.timestamp},"payload":{"t":22.50}}]`,
    );
    for (const batch of batches) {
      const ids = itemsOf(batch).map(({ message_id }) => message_id).join("\n");
      assert.equal(batch.messageId, createHash("sha256").update(ids).digest("hex"));
    }
    const order = batches.flatMap(itemsOf).filter(({ device_id }) => device_id === "a");
    assert.deepEqual(order.map(({ message_id }) => message_id), sent.map((one) => one.messageId));
    await settled(site);
  });
});

Deno.test("2xx without items delivers all, with empty responses", async () => {
  await withBatches(async (site) => {
    const device = await site.device("a");
    const answers = [new Response(null, { status: 204 }), Response.json({ ok: true })];
    for (const answer of answers) {
      site.backend.answer = () => answer.clone();
      const { messageId } = await device.send("1");
      const response = await device.response(messageId);
      assert.equal(response.status, String(answer.status));
      assert.equal(response.bytes.length, 0);
    }
    await settled(site);
  });
});

Deno.test("an item's status is its own: final, again, and not named; what stands behind goes again", async () => {
  await withBatches(async (site) => {
    const { release, inner } = holdFirst(site);
    const seen = new Map<unknown, number>();
    inner.answer = (reading) =>
      answerItems(reading, ({ payload }) => {
        const times = (seen.get(payload) ?? 0) + 1;
        seen.set(payload, times);
        if (payload === 2) return { status: 422, body: "never" };
        if (payload === 4 && times === 1) return { status: 503 };
        if (payload === 6 && times === 1) return undefined;
        return { status: 200, body: payload };
      });
    const device = await site.device("a");
    const sent = [await device.send("0")];
    await site.received(1);
    for (let i = 1; i < 9; i++) sent.push(await device.send(String(i)));
    await poll("all to be stored", async () => await site.metric("pending") === 9);
    release();
    const answers = await answersTo(device, sent);
    assert.deepEqual(
      answers,
      [0, 1, 2, 3, 4, 5, 6, 7, 8].map((n) => n === 2 ? '422 "never"' : `200 ${n}`),
    );
    const order = [...new Set(site.backend.received.flatMap(itemsOf).map((item) => item.payload))];
    assert.deepEqual(order, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    await poll("the dead letter", async () => await site.metric("dead_letters") === 1);
    await settled(site);
  });
});

Deno.test("one item that fails holds up its device alone", async () => {
  await withBatches(async (site) => {
    site.backend.answer = (reading) =>
      answerItems(reading, ({ device_id }) => ({ status: device_id === "bad" ? 503 : 200 }));
    const [bad, good] = [await site.device("bad"), await site.device("good")];
    await bad.send("1");
    await site.received(1);
    for (let i = 0; i < 10; i++) await good.response((await good.send(String(i))).messageId);
    assert.equal(bad.responses.length, 0);
    await poll("the others to be settled", async () => await site.metric("pending") === 1);
  });
});

Deno.test("a final status of the whole halves the batch; only a single reading becomes a dead letter", async () => {
  await withBatches(async (site) => {
    const { release, inner } = holdFirst(site);
    const sizes: number[] = [];
    inner.answer = (reading) => {
      const items = itemsOf(reading);
      sizes.push(items.length);
      if (items.length > 4) return new Response("too large", { status: 413 });
      const bad = items.some(({ payload }) => payload === 7);
      if (bad) return new Response("bad item", { status: 400 });
      return answerItems(reading, ({ payload }) => ({ status: 200, body: payload }));
    };
    const device = await site.device("a");
    const sent = [await device.send("0")];
    await site.received(1);
    for (let i = 1; i < 20; i++) sent.push(await device.send(String(i)));
    await poll("all to be stored", async () => await site.metric("pending") === 20);
    release();
    const answers = await answersTo(device, sent);
    const expected = sent.map((_, n) => n === 7 ? "400 bad item" : `200 ${n}`);
    assert.deepEqual(answers, expected);
    assert.ok(sizes.some((size) => size > 4) && sizes.includes(1), sizes.join());
    await poll("the dead letter", async () => await site.metric("dead_letters") === 1);
    assert.equal((await site.logged("message_dead_lettered"))["message_id"], sent[7]!.messageId);
    await settled(site);
  });
});

Deno.test("an answer that is not as agreed is named in the log, and everything goes again", async () => {
  const id = "550e8400-e29b-41d4-a716-446655440000";
  const wrong: readonly (readonly [answer: string, reason: RegExp])[] = [
    ["ok", /not a JSON object, at byte 0/],
    ['{"items":{}}', /"items" is not an array, at byte 9/],
    [`{"items":[{"message_id":"${id}","status":200}]}`, /not in the batch, at byte 24/],
    ['{"items":[', /unexpected end, at byte 10/],
  ];
  for (const [answer, reason] of wrong) {
    await withBatches(async (site) => {
      let tries = 0;
      site.backend.answer = (reading) =>
        ++tries === 1
          ? new Response(answer)
          : answerItems(reading, () => ({ status: 200, body: tries }));
      const device = await site.device("a");
      const { messageId } = await device.send("1");
      assert.equal((await device.response(messageId)).text, "2");
      assert.match((await site.logged("batch_answer_invalid")).message, reason);
      await settled(site);
    });
  }
});

Deno.test("a batch that times out goes again, whole", async () => {
  await withBatches(async (site) => {
    const hang = Promise.withResolvers<void>();
    let tries = 0;
    site.backend.answer = async (reading) => {
      if (++tries === 1) await hang.promise;
      return answerItems(reading, ({ payload }) => ({ status: 200, body: payload }));
    };
    const device = await site.device("a");
    const { messageId } = await device.send("5");
    assert.equal((await device.response(messageId)).text, "5");
    hang.resolve();
    const [first, second] = site.backend.received;
    assert.equal(first!.messageId, second!.messageId, "the same key");
    await settled(site);
  }, { BACKEND_TIMEOUT: "200ms" });
});

Deno.test("two devices may use one message id, and each gets its own answer", async () => {
  await withBatches(async (site) => {
    const { release, inner } = holdFirst(site);
    inner.answer = (reading) =>
      answerItems(reading, ({ device_id }) => ({ status: 200, body: device_id }));
    const devices = await Promise.all(["a", "b", "c"].map((id) => site.device(id)));
    const [a, b, c] = devices as [typeof devices[0], typeof devices[0], typeof devices[0]];
    await c.send("1");
    await site.received(1);
    const messageId = crypto.randomUUID();
    await a.publish((await a.sign("1", { messageId })).message);
    await b.publish((await b.sign("1", { messageId })).message);
    release();
    assert.equal((await a.response(messageId)).text, '"a"');
    assert.equal((await b.response(messageId)).text, '"b"');
    for (const batch of site.backend.received) {
      const ids = itemsOf(batch).map((item) => item.message_id);
      assert.equal(new Set(ids).size, ids.length);
    }
    await settled(site);
  });
});
