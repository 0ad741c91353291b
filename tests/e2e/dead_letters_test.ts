import assert from "node:assert/strict";
import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { poll } from "../../src/time/poll.ts";
import { DeadLetters } from "../../src/store/sqlite/dead_letters.ts";
import { Outbox } from "../../src/store/sqlite/outbox.ts";
import { shell } from "../support/shell.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

/** Runs `dead …` as the operator does: in a process of its own. */
async function dead(site: LiveSite, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await shell(["dead", ...args, "--dir", site.layout.directory]);
  assert.equal(code, 0, stderr);
  return stdout;
}

interface Listed {
  readonly sequence: number;
  readonly device_id: string;
  readonly message_id: string;
  readonly status: number | null;
  readonly reason: string;
}

async function list(site: LiveSite): Promise<Listed[]> {
  return JSON.parse(await dead(site, "list", "--json"));
}

/** Sends payloads to a backend that refuses them; returns their message ids, once all are dead. */
async function refused(site: LiveSite, device: DeviceClient, ...payloads: string[]) {
  const before = await site.metric("dead_lettered_total");
  site.backend.answer = () => new Response('"no"', { status: 422 });
  const messageIds: string[] = [];
  for (const payload of payloads) messageIds.push((await device.send(payload)).messageId);
  await poll(
    "all to be dead",
    async () =>
      await site.metric("dead_lettered_total") === before + payloads.length &&
      await site.metric("pending") === 0,
  );
  site.backend.answer = () => new Response('"yes"');
  return messageIds;
}

/** What the backend received after the first `count` readings, once there are `more`. */
async function receivedAfter(site: LiveSite, count: number, more: number): Promise<Reading[]> {
  await site.received(count + more);
  return site.backend.received.slice(count);
}

function assertSame(again: Reading, first: Reading): void {
  assert.deepEqual(again.body, first.body);
  assert.equal(again.messageId, first.messageId);
  assert.equal(again.timestamp, first.timestamp);
  assert.equal(again.path, first.path);
}

Deno.test("a running gateway sends what is retried, with the same bytes and key, and the device gets the answer", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const payload = '{"v":22.50,"big":12345678901234567890,"é":"☕"}';
    const [messageId] = await refused(site, device, payload);
    assert.deepEqual(device.responses.map(({ status }) => status), ["422"]);
    const [letter] = await list(site);
    assert.deepEqual(
      [letter!.device_id, letter!.message_id, letter!.status],
      ["sensor_001", messageId, 422],
    );
    assert.match(
      await dead(site, "list"),
      new RegExp(`^ *${letter!.sequence}  sensor_001 .*  422 `, "m"),
    );
    assert.ok((await dead(site, "show", `${letter!.sequence}`)).endsWith(`payload: ${payload}\n`));
    assert.equal(
      await dead(site, "retry", `${letter!.sequence}`),
      "Put 1 dead letter back into the outbox\n",
    );
    const [again] = await receivedAfter(site, 1, 1);
    assertSame(again!, site.backend.received[0]!);
    assert.equal(again!.text, payload);
    assert.equal(again!.headers.get("x-gateway-late"), null);
    const answer = await poll(
      "the second answer",
      () => device.responses.find(({ status }) => status === "200"),
    );
    assert.deepEqual([answer.messageId, answer.text], [messageId, '"yes"']);
    await poll("it to be settled", async () => await site.metric("pending") === 0);
    assert.deepEqual(await list(site), []);
    assert.equal(await site.metric("dead_letters"), 0);
    assert.equal(await site.metric("delivered_total"), 1);
  });
});

Deno.test("what is retried goes behind what already waits for the device, in the original order", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const other = await site.device("sensor_002");
    await refused(site, device, "1", "2", "3");
    await refused(site, other, '"other"');
    await refused(site, device, "4", "5");
    const before = site.backend.received.length;
    const release = Promise.withResolvers<void>();
    site.backend.answer = async ({ text }) => {
      if (text === '"live"') await release.promise;
      return new Response("ok");
    };
    await device.send('"live"');
    await site.received(before + 1);
    await device.send('"live too"');
    assert.equal(
      await dead(site, "retry", "--device", "sensor_001"),
      "Put 5 dead letters back into the outbox\n",
    );
    await poll("them to be adopted", async () => await site.metric("pending") === 7);
    await device.send('"newest"');
    release.resolve();
    const texts = (await receivedAfter(site, before, 8)).map(({ text }) => text);
    assert.deepEqual(texts, ['"live"', '"live too"', "1", "2", "3", "4", "5", '"newest"']);
    assert.deepEqual((await list(site)).map(({ device_id }) => device_id), ["sensor_002"]);
    await dead(site, "retry", "--all");
    assert.equal((await receivedAfter(site, before + 8, 1))[0]!.text, '"other"');
  });
});

Deno.test("what is retried while no gateway runs is sent at the next start", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const messageIds = await refused(site, device, "1", "2", "3");
    await site.stopGateway();
    assert.equal(await dead(site, "retry", "--all"), "Put 3 dead letters back into the outbox\n");
    await site.startGateway();
    const again = await receivedAfter(site, 3, 3);
    again.forEach((reading, i) => assertSame(reading, site.backend.received[i]!));
    for (const messageId of messageIds) {
      await poll(
        "its answer",
        () => device.responses.find((one) => one.messageId === messageId && one.status === "200"),
      );
    }
  });
});

Deno.test("what the backend refuses again is a dead letter again, with the same bytes", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const [messageId] = await refused(site, device, '{"v":22.50}');
    const [first] = await list(site);
    for (const status of [400, 410]) {
      site.backend.answer = () => new Response("still no", { status });
      await dead(site, "retry", "--all");
      const again = await poll(
        "the next dead letter",
        async () => (await list(site)).find((letter) => letter.status === status),
      );
      assert.equal(again.message_id, messageId);
      assert.match(again.reason, new RegExp(`refused it with status ${status}`));
      assert.ok(again.sequence > first!.sequence, "a number of its own");
      assert.ok((await dead(site, "show", `${again.sequence}`)).endsWith('payload: {"v":22.50}\n'));
    }
    assert.equal((await list(site)).length, 1);
    const [one, ...repetitions] = site.backend.received;
    assert.equal(repetitions.length, 2);
    for (const repetition of repetitions) assertSame(repetition, one!);
  });
});

Deno.test("what had waited its whole time is given all of it again when it is retried", async () => {
  await withLiveSite(async (site) => {
    site.clockOffsetMs = 2 * 86_400_000; // nor does it matter whose clock is wrong
    await site.startGateway();
    fill(site, 1, new TextEncoder().encode("1")); // accepted in 1970
    let tries = 0;
    site.backend.answer = () => new Response("ok", { status: ++tries < 4 ? 503 : 200 });
    await dead(site, "retry", "--all");
    await poll("its delivery", async () => await site.metric("delivered_total") === 1);
    assert.equal(tries, 4);
    assert.equal(await site.metric("dead_lettered_total"), 0);
    assert.equal(await site.metric("intake_to_backend_seconds_count"), 0, "it came long ago");
  }, { start: false });
});

Deno.test("a dead letter of a device that was removed can still be retried", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const [messageId] = await refused(site, device, '{"v":1}');
    const removed = await shell(["device", "remove", "sensor_001", "--dir", site.layout.directory]);
    assert.equal(removed.code, 0, removed.stderr);
    assert.equal(
      await dead(site, "retry", "--device", "sensor_001"),
      "Put 1 dead letter back into the outbox\n",
    );
    const [again] = await receivedAfter(site, 1, 1);
    assertSame(again!, site.backend.received[0]!);
    assert.equal(again!.messageId, messageId);
    await poll("it to be settled", async () => await site.metric("pending") === 0);
    assert.equal(await site.metric("dead_letters"), 0);
  });
});

Deno.test("what is retried after the tolerance says how late it is, and is answered all the same", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const [messageId] = await refused(site, device, '{"v":1}');
    site.clockOffsetMs = 1_000_000;
    await dead(site, "retry", "--all");
    const [again] = await receivedAfter(site, 1, 1);
    assertSame(again!, site.backend.received[0]!);
    assert.equal(site.backend.received[0]!.headers.get("x-gateway-late"), null);
    const lateSeconds = Number(again!.headers.get("x-gateway-late"));
    assert.ok(lateSeconds >= 1_000 && lateSeconds < 1_060, String(lateSeconds));
    await poll(
      "its answer",
      () => device.responses.find((one) => one.messageId === messageId && one.status === "200"),
    );
  });
});

Deno.test("a retried message is no way around the checks: its id stays used", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    site.backend.answer = () => new Response(null, { status: 422 });
    const { message } = await device.send('{"v":1}');
    await poll("its dead letter", async () => await site.metric("dead_letters") === 1);
    await device.publish(message);
    await site.logged("message_rejected", ({ code }) => code === "replayed");
    await dead(site, "drop", "--all");
    await device.publish(message);
    await poll(
      "both rejections",
      async () => await site.metric('rejected_total{code="replayed"}') === 2,
    );
    assert.equal(site.backend.received.length, 1);
  });
});

Deno.test("dead drop takes them away from a running gateway's count, and nothing else", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await refused(site, device, "1", "2", "3");
    const [, second] = await list(site);
    assert.equal(await dead(site, "drop", `${second!.sequence}`), "Dropped 1 dead letter\n");
    assert.equal(await site.metric("dead_letters"), 2);
    assert.equal(await dead(site, "drop", "--all"), "Dropped 2 dead letters\n");
    assert.equal(await site.metric("dead_letters"), 0);
    await device.response((await device.send("4")).messageId);
    assert.equal(site.backend.received.length, 4);
    assert.equal(await site.metric("dead_letters_expired_total"), 0, "that counts the limits only");
  });
});

/** How many dead letters the gateway says it has dropped. */
function droppedIn(site: LiveSite): number {
  const records = site.log.filter(({ event }) => event === "dead_letters_expired");
  return records.reduce((total, { count }) => total + Number(count), 0);
}

Deno.test("over max_count the oldest go first, with a log line and a count", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const messageIds = await refused(site, device, "1", "2", "3", "4", "5");
    await poll(
      "two to be dropped",
      async () => await site.metric("dead_letters_expired_total") === 2,
    );
    const left = await list(site);
    assert.deepEqual(left.map(({ message_id }) => message_id), messageIds.slice(2));
    assert.equal(await site.metric("dead_letters"), 3);
    assert.equal(droppedIn(site), 2);
    const { level, message } = await site.logged("dead_letters_expired");
    assert.equal(level, "error");
    assert.match(
      message,
      /^Dropped the (\d )?oldest dead letters?: more than dead_letters.max_count/,
    );
  }, { settings: { DEAD_LETTERS_MAX_COUNT: "3" } });
});

Deno.test("over max_age they go, with a log line and a count; a younger one stays", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    await refused(site, device, '"old"');
    const [young] = await refused(site, device, '"young"');
    assert.equal(await site.metric("dead_letters"), 2);
    // It died an hour ago: a step of the clock alone makes nothing old at once.
    const age = "UPDATE dead_letters SET died_ms = died_ms - 3700000 WHERE sequence = 1";
    site.withStore((store) => store.transaction(() => store.prepare(age).run()));
    await poll(
      "one to be dropped",
      async () => await site.metric("dead_letters_expired_total") === 1,
    );
    assert.deepEqual((await list(site)).map(({ message_id }) => message_id), [young]);
    assert.equal(droppedIn(site), 1);
  }, { settings: { DEAD_LETTERS_MAX_AGE: "1h" } });
});

/** Lays dead letters of the device "dead" into the store, as an earlier run may have left them. */
function fill(site: LiveSite, count: number, payload: Uint8Array): void {
  site.withStore((store) => {
    const [outbox, letters] = [new Outbox(store), new DeadLetters(store)];
    const from = { deviceId: "dead", timestamp: "1727712000", acceptedMs: 0, payload };
    store.transaction(() => {
      for (let i = 0; i < count; i++) {
        const { sequence } = outbox.append({ ...from, messageId: crypto.randomUUID() });
        letters.deadLetter(sequence, {
          status: 422,
          reason: "refused",
          deadLetteredAtMs: Date.now(),
        });
        outbox.remove(sequence);
      }
    });
  });
}

Deno.test("very many that are retried at once go step by step, and hold up no other device", async () => {
  await withLiveSite(async (site) => {
    const live = await site.device("live");
    const count = 1_500;
    fill(site, count, new Uint8Array(30_000).fill(0x31));
    const left = () => site.withStore((store) => new DeadLetters(store).count());
    const seen = new Set<number>();
    let retrying = true;
    const retried = dead(site, "retry", "--all").finally(() => retrying = false);
    while (retrying) {
      await live.response((await live.send("1")).messageId);
      seen.add(left());
    }
    assert.ok(seen.size > 3, "the store was free in between");
    assert.equal(await retried, `Put ${count} dead letters back into the outbox\n`);
    const back = () => site.backend.received.filter(({ deviceId }) => deviceId === "dead");
    await poll("all of them", () => back().length >= count, { timeoutMs: 60_000 });
    assert.equal(new Set(back().map(({ messageId }) => messageId)).size, count);
  });
});
