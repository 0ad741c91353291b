import assert from "node:assert/strict";
import { poll } from "../../src/time/poll.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const deadLetters = (site: LiveSite) =>
  site.withStore((store) => store.prepare("SELECT * FROM dead_letters ORDER BY sequence").all());

Deno.test("what says that the backend is not ready, or not the one, is tried again until the backend takes it", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const statuses = [301, 308, 401, 403, 404, 405, 408, 409, 425, 429, 500, 502, 503, 200];
    let tries = 0;
    site.backend.answer = () => new Response("x", { status: statuses[tries++]! });
    const { messageId } = await device.send('{"v":1}');
    const response = await device.response(messageId);
    assert.equal(response.status, "200");
    assert.equal(tries, statuses.length);
    const keys = new Set(site.backend.received.map(({ messageId, text }) => messageId + text));
    assert.equal(keys.size, 1);
    assert.equal(await site.metric("retried_total"), statuses.length - 1);
  });
});

Deno.test("every other status is final: the device gets it, the bytes are kept", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const statuses = [400, 410, 413, 415, 422, 451];
    let next = 0;
    site.backend.answer = () =>
      new Response("why", {
        status: statuses[next++]!,
        headers: { location: `${site.backend.url}/elsewhere` },
      });
    for (const status of statuses) {
      const { messageId } = await device.send(`{"v":${status}}`);
      assert.equal((await device.response(messageId)).status, String(status));
    }
    assert.equal(site.backend.received.length, statuses.length, "no redirect was followed");
    await poll("dead letters", async () => await site.metric("dead_letters") === statuses.length);
    const letters = deadLetters(site);
    assert.deepEqual(letters.map((letter) => letter["status"]), statuses);
    const bytes = letters.map((letter) =>
      new TextDecoder().decode(letter["payload"] as Uint8Array)
    );
    assert.deepEqual(bytes, statuses.map((status) => `{"v":${status}}`));
    assert.match(String(letters[0]!["reason"]), /refused it with status 400/);
    assert.equal((await site.logged("message_dead_lettered"))["device_id"], "sensor_001");
  });
});

Deno.test("a refused connection is tried again; readings wait on disk meanwhile", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const { port } = site.backend;
    await site.backend.stop();
    const { messageId } = await device.send("1");
    await site.logged("backend_unreachable");
    assert.equal(await site.metric("pending"), 1);
    const { SampleBackend } = await import("../../src/demo/sandbox/sample_backend.ts");
    const again = SampleBackend.start({ port });
    try {
      await device.response(messageId);
      await site.logged("backend_recovered");
      assert.equal(again.received.length, 1);
    } finally {
      await again.stop();
    }
  });
});

Deno.test("a backend that hangs is given up after the time-out, and tried again", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const release = Promise.withResolvers<void>();
    let tries = 0;
    site.backend.answer = async () => {
      if (tries++ === 0) await release.promise;
      return new Response("ok");
    };
    const { messageId } = await device.send("1");
    assert.equal((await device.response(messageId)).status, "200");
    assert.equal(tries, 2);
    release.resolve();
  }, { settings: { BACKEND_TIMEOUT: "200ms" } });
});

Deno.test("an answer too large for a device is left out, its status comes all the same", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const sizes = [65_536, 65_537, 10_000_000];
    for (const size of sizes) {
      site.backend.answer = () => new Response("x".repeat(size));
      const { messageId } = await device.send(String(size));
      const response = await device.response(messageId);
      assert.equal(response.status, "200");
      assert.equal(response.bytes.length, size > 65_536 ? 0 : size);
    }
    assert.equal(site.backend.received.length, sizes.length);
  });
});

Deno.test("an answer that never ends, or unpacks to gigabytes, takes no memory and no time", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    const endless = () =>
      new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536)) });
    site.backend.answer = () => new Response(endless());
    assert.equal((await device.response((await device.send("1")).messageId)).bytes.length, 0);
    const zeros = new Blob([new Uint8Array(50_000_000)]).stream();
    const bomb = await new Response(zeros.pipeThrough(new CompressionStream("gzip"))).bytes();
    site.backend.answer = () => new Response(bomb, { headers: { "content-encoding": "gzip" } });
    assert.equal((await device.response((await device.send("2")).messageId)).status, "200");
  });
});

Deno.test("an entry that is too old to try again becomes a dead letter", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device("sensor_001");
    site.backend.answer = () => new Response(null, { status: 503 });
    await device.send('{"v":1}');
    const record = await site.logged("message_dead_lettered");
    assert.match(record.message, /not delivered within its time, last: status 503/);
    await poll("the dead letter", () => deadLetters(site).length === 1);
    assert.equal(deadLetters(site)[0]!["status"], 503);
  }, { settings: { BACKEND_GIVE_UP_AFTER: "1s" } });
});

Deno.test("a device that waits does not hold up the others", async () => {
  await withLiveSite(async (site) => {
    const bad = await site.device("bad");
    const good = await site.device("good");
    site.backend.answer = ({ deviceId }) =>
      new Response("x", { status: deviceId === "bad" ? 500 : 200 });
    await bad.send("1");
    await site.received(1);
    for (let i = 0; i < 5; i++) await good.response((await good.send(String(i))).messageId);
    assert.equal(bad.responses.length, 0);
  });
});

Deno.test("no answer is lost while the broker is away", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register("sensor_001");
    const device = await site.connect(folder);
    const release = Promise.withResolvers<void>();
    site.backend.answer = async () => {
      await release.promise;
      return new Response("late");
    };
    const { messageId } = await device.send("1");
    await site.received(1);
    await site.stopBroker();
    await site.logged("broker_disconnected");
    release.resolve();
    assert.equal((await site.api("/readyz")).status, 503);
    await site.startBroker();
    const again = await site.connect(folder);
    const response = await again.response(messageId).catch(() => undefined);
    // The gateway may be faster back at the broker than the device: then nobody listened.
    if (response) assert.equal(response.text, "late");
    await poll("it to be settled", async () => await site.metric("pending") === 0);
    assert.equal(site.backend.received.length, 1);
  });
});

Deno.test("a backend that refuses its key is named by log, /readyz and metrics; nothing dies", async () => {
  await withLiveSite(async (site) => {
    const devices = await Promise.all(["sensor_001", "sensor_002"].map((id) => site.device(id)));
    const answer = site.backend.answer;
    site.backend.answer = () => new Response("who are you", { status: 401 });
    const sent = await Promise.all(devices.map((device) => device.send("1")));
    const failing = await site.logged("backend_failing");
    assert.equal(failing["status"], 401);
    const ready = await site.api("/readyz");
    assert.equal(ready.status, 200);
    assert.match((await ready.json()).degraded.join(), /the backend answers 401/);
    assert.equal(await site.metric("backend_failing"), 1);
    const metrics = await (await site.api("/metrics")).text();
    assert.match(metrics, /backend_outcomes_total\{outcome="4xx"\} [1-9]/);
    assert.equal(await site.metric("dead_letters"), 0);
    site.backend.answer = answer;
    for (const [i, { messageId }] of sent.entries()) await devices[i]!.response(messageId);
    await site.logged("backend_recovered");
    assert.deepEqual((await (await site.api("/readyz")).json()).degraded, []);
  });
});
