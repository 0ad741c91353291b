/** The life of a command as a backend sees it: gateway, broker and device are the real ones. */

import assert from "node:assert/strict";
import type { DeviceClient } from "../../src/client/device_client.ts";
import { GatewayProcess } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import { accessTo } from "../support/api_request.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";
import { reissueServer, reload, withLiveProcess } from "../support/live_process.ts";
import { withOutsideGateway } from "../support/outside_gateway.ts";
import { usageOf } from "../support/process_usage.ts";

const DEVICE_ID = "sensor_001";
const PATH = `/command/${DEVICE_ID}`;
const OPEN = '{"open":"door"}';
const DONE = { state: "done" } as const;
const HELD_LONG = { prefer: "wait=50" };
const MIB = 1024 * 1024;

function post(site: LiveSite, headers: Record<string, string>, body = OPEN): Promise<Response> {
  return site.api(PATH, { method: "POST", headers, body });
}

/** The path of a command that was accepted. */
function locationOf(response: Response): string {
  assert.ok(response.ok, String(response.status));
  return response.headers.get("location")!;
}

/** Does what a device is asked, and says so. */
async function obey(device: DeviceClient): Promise<string> {
  const { messageId, payload, valid } = await device.command();
  assert.deepEqual([payload, valid], [OPEN, true]);
  await device.acknowledge(messageId, DONE);
  return messageId;
}

/** Asks for a record until it changes. */
function follow(site: LiveSite, path: string, etag: string): Promise<Response> {
  return site.api(path, { headers: { "if-none-match": etag, ...HELD_LONG } });
}

/** Runs `work` beside another gateway on the site. */
async function withGatewayAgain(site: LiveSite, work: () => Promise<void>): Promise<void> {
  const environment = { SECURE_IOT_GATEWAY_BACKEND_URL: site.backend.url };
  const gateway = await GatewayProcess.start(site.layout.directory, { environment });
  try {
    await work();
  } finally {
    await gateway.stop();
  }
}

async function stateOf(site: LiveSite, path: string): Promise<string> {
  return (await (await site.api(path)).json()).state;
}

Deno.test("a command for a device that is away survives a kill -9, is done once, and asked once", async () => {
  await withLiveProcess(async (site, gateway) => {
    const folder = await site.register(DEVICE_ID);
    const headers = { ttl: "3600", "idempotency-key": "door-7" };
    const first = await post(site, headers);
    const answer = await first.json();
    assert.deepEqual([first.status, answer.delivery], [202, "no_subscriber"]);
    gateway.kill("SIGKILL");
    await gateway.exited;
    await withGatewayAgain(site, async () => {
      const replayed = await post(site, headers);
      assert.equal(replayed.status, 202);
      assert.equal(replayed.headers.get("idempotent-replayed"), "true");
      assert.deepEqual(await replayed.json(), answer);
      assert.equal((await post(site, headers, "2")).status, 422);
      assert.equal(await stateOf(site, locationOf(first)), "waiting");
      const device = await site.connect(folder);
      await device.send('{"up":1}'); // it is heard
      assert.equal(await obey(device), answer.message_id);
      await poll("done", async () => await stateOf(site, locationOf(first)) === "done");
      const { commands, next } = await (await site.api(PATH)).json();
      assert.deepEqual([commands.length, next], [1, null]);
      const { acknowledgement, sends, withdrawn } = commands[0];
      assert.deepEqual([acknowledgement.payload, withdrawn], [DONE, false]);
      assert.ok(sends >= 2);
      assert.equal(device.commandsWaiting, 0);
    });
  });
});

Deno.test("Prefer: wait holds the answer until the device has done it", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const held = post(site, { ttl: "60", ...HELD_LONG });
    const messageId = await obey(device);
    const response = await held;
    assert.deepEqual([response.status, locationOf(response)], [200, `${PATH}/${messageId}`]);
    assert.equal(response.headers.get("preference-applied"), "wait=50");
    const { state, delivery, acknowledgement } = await response.json();
    assert.deepEqual([state, delivery, acknowledgement.payload], ["done", "queued", DONE]);
  });
});

Deno.test("a wait is no longer than commands.wait_longest, and ends with the record as it is", async () => {
  await withLiveSite(async (site) => {
    await site.device(DEVICE_ID);
    const response = await post(site, HELD_LONG);
    assert.equal(response.headers.get("preference-applied"), "wait=1");
    assert.deepEqual([response.status, (await response.json()).state], [200, "sent"]);
    const etag = (await site.api(locationOf(response))).headers.get("etag")!;
    const late = await follow(site, locationOf(response), etag);
    assert.deepEqual([late.status, late.headers.get("etag")], [304, etag]);
  }, { settings: { COMMANDS_WAIT_LONGEST: "1s" } });
});

Deno.test("with commands.wait_longest 0s nothing is held, and no preference is applied", async () => {
  await withLiveSite(async (site) => {
    await site.device(DEVICE_ID);
    const response = await post(site, HELD_LONG);
    assert.deepEqual([response.status, response.headers.get("preference-applied")], [202, null]);
  }, { settings: { COMMANDS_WAIT_LONGEST: "0s" } });
});

Deno.test("a long poll tells of each state of a command", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "60" }));
    const { messageId } = await device.command();
    let { etag } = Object.fromEntries((await site.api(path)).headers);
    for (const state of ["received", "running", "failed"] as const) {
      const held = follow(site, path, etag!);
      await device.acknowledge(messageId, { state });
      const response = await held;
      assert.deepEqual([response.status, (await response.json()).state], [200, state]);
      etag = response.headers.get("etag")!;
    }
  });
});

Deno.test("a command that is cancelled while its device is away never reaches it", async () => {
  await withLiveSite(async (site) => {
    const folder = await site.register(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "3600" }));
    const cancelled = await site.api(path, { method: "DELETE" });
    assert.deepEqual([cancelled.status, (await cancelled.json()).state], [200, "cancelled"]);
    const device = await site.connect(folder);
    await post(site, { ttl: "3600" }, OPEN);
    assert.equal(`${PATH}/${await obey(device)}`.length, path.length);
    assert.equal(device.commandsWaiting, 0);
    const again = await site.api(path, { method: "DELETE" });
    assert.deepEqual([again.status, (await again.json()).state], [409, "cancelled"]);
  });
});

Deno.test("a command that was sent is withdrawn, and the device's word still counts", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "3600" }));
    const withdrawn = await site.api(path, { method: "DELETE" });
    const record = await withdrawn.json();
    assert.deepEqual([withdrawn.status, record.state, record.withdrawn], [202, "sent", true]);
    await obey(device);
    await poll("done", async () => await stateOf(site, path) === "done");
    assert.equal((await site.api(path, { method: "DELETE" })).status, 409);
  });
});

Deno.test("no more commands wait for a device than commands.max_waiting_per_device", async () => {
  await withLiveSite(async (site) => {
    await site.register(DEVICE_ID);
    const first = locationOf(await post(site, { ttl: "60" }));
    await post(site, { ttl: "60" });
    const refused = await post(site, { ttl: "60" });
    assert.ok(Number(refused.headers.get("retry-after")) > 0);
    assert.deepEqual([refused.status, /too-many-waiting/.test(await refused.text())], [429, true]);
    await site.api(first, { method: "DELETE" });
    assert.equal((await post(site, { ttl: "60" })).status, 202);
  }, { settings: { COMMANDS_MAX_WAITING_PER_DEVICE: "2" } });
});

Deno.test("a command that nobody took in its time has expired", async () => {
  await withLiveSite(async (site) => {
    await site.register(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "5" }));
    const { etag } = Object.fromEntries((await site.api(path)).headers);
    let tag = etag!;
    let state = "waiting";
    while (state === "waiting") { // each try that finds nobody changes the record
      const response = await follow(site, path, tag);
      tag = response.headers.get("etag")!;
      state = (await response.json()).state;
    }
    assert.equal(state, "expired");
  });
});

Deno.test("answers that are held end when the gateway stops, as they are", async () => {
  await withLiveSite(async (site) => {
    await site.device(DEVICE_ID);
    const response = await post(site, { ttl: "60" });
    const path = locationOf(response);
    const etag = (await site.api(path)).headers.get("etag")!;
    const held = [follow(site, path, etag), post(site, HELD_LONG)];
    await poll("the second command", async () => {
      return (await (await site.api(PATH)).json()).commands.length === 2;
    });
    const startMs = performance.now();
    await site.stopGateway();
    const answers = await Promise.all(held);
    assert.deepEqual(answers.map(({ status }) => status), [304, 200]);
    assert.ok(performance.now() - startMs < 5_000);
  });
});

Deno.test("answers that are held end at a reload, and go on with the next gateway", async () => {
  await withLiveProcess(async (site, gateway) => {
    const device = await site.device(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "60" }));
    const { messageId } = await device.command();
    const etag = (await site.api(path)).headers.get("etag")!;
    const held = follow(site, path, etag);
    await reissueServer(site.layout);
    assert.equal((await reload(gateway)).event, "reloaded");
    assert.deepEqual([(await held).status, (await held).headers.get("etag")], [304, etag]);
    // A connection to the server that retires is told at once how it is, and ends.
    const again = poll("the next gateway to hold it", async () => {
      const answer = await follow(site, path, etag);
      return answer.status === 200 && await answer.json();
    });
    await device.acknowledge(messageId, DONE);
    assert.equal((await again).state, "done");
  });
});

/** A hundred long polls on one connection; they go when this is disposed of. */
async function manyPolls(site: LiveSite, path: string, etag: string): Promise<AsyncDisposable> {
  const { ca, key, port } = accessTo(site);
  const client = Deno.createHttpClient({ caCerts: [ca] });
  const first = await fetch(`https://localhost:${port}/healthz`, { client });
  await first.body?.cancel(); // or each would open a connection of its own
  const gone = new AbortController();
  const headers = { authorization: `Bearer ${key}`, "if-none-match": etag, ...HELD_LONG };
  const init = { headers, client, signal: gone.signal };
  const polls = Array.from(
    { length: 100 },
    () => fetch(`https://localhost:${port}${path}`, init).then(({ body }) => body?.cancel()),
  );
  const ends = Promise.allSettled(polls);
  return {
    async [Symbol.asyncDispose]() {
      gone.abort();
      await ends;
      client.close();
    },
  };
}

Deno.test("long polls are bounded in number, end with their clients, and leave no memory", async () => {
  await withOutsideGateway(async (site, gateway) => {
    await site.device(DEVICE_ID);
    const path = locationOf(await post(site, { ttl: "3600" }));
    const etag = (await site.api(path)).headers.get("etag")!;
    const isHeld = async () => {
      const headers = { "if-none-match": etag, prefer: "wait=0" };
      return (await site.api(path, { headers })).headers.has("preference-applied");
    };
    const round = async () => {
      const polls = [];
      for (let i = 0; i < 11; i++) polls.push(await manyPolls(site, path, etag));
      await poll("all to be held", async () => !await isHeld());
      for (const one of polls) await one[Symbol.asyncDispose]();
      await poll("all to be gone", isHeld);
    };
    await round();
    const before = (await usageOf(gateway)).residentBytes;
    for (let i = 0; i < 3; i++) await round();
    const after = (await usageOf(gateway)).residentBytes;
    assert.ok(after - before < 32 * MIB, `${before} to ${after} bytes`);
  });
});
