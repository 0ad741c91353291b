/** The API of commands on a real store, before a broker that answers as a test says. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BearerAuth } from "../../../src/gateway/api/bearer_auth.ts";
import { CommandWaits } from "../../../src/gateway/api/command_waits.ts";
import { type ApiHandler, createRoutes } from "../../../src/gateway/api/routes.ts";
import { poll } from "../../../src/time/poll.ts";
import { apiParts } from "../../support/api_parts.ts";
import {
  type CommandPipeline,
  NOBODY,
  QUEUED,
  withCommandPipeline,
} from "../../support/command_pipeline.ts";
import { DEVICE_ID, MESSAGE_ID } from "../../support/judge.ts";

const PATH = `/command/${DEVICE_ID}`;
const TTL = { ttl: "3600" };
/** Of a key for another device. */
const OTHER = { authorization: "Bearer other" };

interface Asked extends RequestInit {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
}

/** The API, and the world around it. */
interface CommandApi extends CommandPipeline {
  readonly waits: CommandWaits;
  ask(path: string, init?: Asked): Promise<Response>;
  /** POSTs a command. */
  post(headers?: Record<string, string>, body?: string): Promise<Response>;
}

async function withCommandApi(work: (api: CommandApi) => Promise<void>): Promise<void> {
  await withCommandPipeline(async (pipeline) => {
    const { store, requests, watch } = pipeline;
    const { commands } = store;
    const real = { wallMs: () => pipeline.time.wallMs, monotonicMs: () => performance.now() };
    const waits = new CommandWaits({ clock: real, commands, watch }, 60_000);
    const keys = [keyOf("right"), keyOf("other", ["sensor_002"])];
    const api: ApiHandler = createRoutes(apiParts({
      ...{ clock: real, commands, requests, waits, emit: pipeline.emit },
      auth: new BearerAuth(() => Promise.resolve(keys), real),
      keys: {
        refresh: () => Promise.resolve(),
        statusOf: (id) => id === DEVICE_ID ? "active" : "unknown",
      },
    }));
    const ask = (path: string, { headers, ...init }: Asked = {}) => {
      const fields = { authorization: "Bearer right", "content-type": "application/json" };
      const request = { ...init, headers: { ...fields, ...headers } };
      return api(new Request(`https://gateway${path}`, request), "192.0.2.1");
    };
    const post = (headers = {}, body = '{"open":"door"}') =>
      ask(PATH, { method: "POST", headers, body });
    await work(Object.assign(pipeline, { waits, ask, post }));
    waits.close();
  });
}

function keyOf(name: string, deviceIds?: readonly string[]) {
  const digest = createHash("sha256").update(name).digest();
  return { name, digest, createdAt: 1, role: "commands" as const, deviceIds };
}

async function assertProblem(response: Response, status: number, name: string): Promise<void> {
  assert.equal(response.status, status, name);
  assert.equal((await response.json()).type, `urn:secure-iot-gateway:problem:${name}`);
}

Deno.test("a command that waits: 202 with its path, where its record is", async () => {
  await withCommandApi(async ({ post, ask, words }) => {
    words.push(NOBODY);
    const response = await post(TTL);
    assert.equal(response.status, 202);
    const { message_id, timestamp, delivery } = await response.json();
    assert.equal(delivery, "no_subscriber");
    assert.equal(response.headers.get("location"), `${PATH}/${message_id}`);
    const record = await ask(response.headers.get("location")!);
    assert.deepEqual(await record.json(), {
      ...{ device_id: DEVICE_ID, message_id, state: "waiting", delivery: "no_subscriber" },
      ...{ created: timestamp, expires: timestamp + 3600, sends: 1, last_sent: timestamp },
      ...{ withdrawn: false, acknowledgement: null },
    });
    assert.equal((await ask(`${PATH}/${message_id.toUpperCase()}`)).status, 200);
  });
});

Deno.test("without the broker a command with a TTL is stored, one without is refused", async () => {
  await withCommandApi(async ({ post, broker }) => {
    broker.isConnected = false;
    const stored = await post({ ...TTL, "idempotency-key": "k" });
    assert.deepEqual([stored.status, (await stored.json()).delivery], [202, "stored"]);
    await assertProblem(await post(), 503, "broker-unavailable");
  });
});

Deno.test("the same key brings the same answer, quoted or bare, and is no event again", async () => {
  await withCommandApi(async ({ post, copies, events }) => {
    const first = await post({ ...TTL, "idempotency-key": "k1" });
    assert.equal(first.headers.get("idempotent-replayed"), null);
    const again = await post({ ...TTL, "idempotency-key": '"k1"' }, ' {"open": "door"} ');
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    assert.equal(again.headers.get("location"), first.headers.get("location"));
    assert.deepEqual(await again.json(), await first.json());
    assert.equal(copies.length, 1);
    assert.equal(events.filter(({ kind }) => kind === "command_accepted").length, 1);
  });
});

Deno.test("a key that was used for another body, TTL or device is 422; another key's is free", async () => {
  await withCommandApi(async ({ post, ask, copies }) => {
    const key = { "idempotency-key": "k1" };
    await post({ ...TTL, ...key });
    await assertProblem(await post({ ...TTL, ...key }, "2"), 422, "key-reused");
    await assertProblem(await post({ ttl: "3601", ...key }), 422, "key-reused");
    await assertProblem(await post(key), 422, "key-reused");
    const other = { method: "POST", headers: { ...TTL, ...key }, body: '{"open":"door"}' };
    await assertProblem(await ask("/command/sensor_002", other), 422, "key-reused");
    assert.equal(copies.length, 1);
  });
});

Deno.test("a key that is being answered is 409, with Retry-After", async () => {
  await withCommandApi(async (api) => {
    const { promise: published, resolve } = Promise.withResolvers<void>();
    const { promise: asked, resolve: onAsked } = Promise.withResolvers<void>();
    api.onPublish = () => {
      onAsked();
      return published;
    };
    const first = api.post({ "idempotency-key": "k1" });
    await asked;
    const second = await api.post({ "idempotency-key": "k1" });
    assert.equal(second.headers.get("retry-after"), "1");
    await assertProblem(second, 409, "key-under-way");
    resolve();
    assert.equal((await first).status, 202);
    const third = await api.post({ "idempotency-key": "k1" });
    assert.equal(third.headers.get("idempotent-replayed"), "true");
  });
});

Deno.test("a copy of which nobody knows: 503 with its path, and the same again", async () => {
  await withCommandApi(async ({ post, ask, words, copies }) => {
    words.push({ kind: "unacknowledged", reason: "lost" });
    const first = await post({ "idempotency-key": "k1" });
    assert.ok(Number(first.headers.get("retry-after")) > 0);
    const location = first.headers.get("location")!;
    assert.equal((await (await ask(location)).json()).state, "sent");
    await assertProblem(first, 503, "broker-unavailable");
    const again = await post({ "idempotency-key": "k1" });
    assert.equal(again.headers.get("location"), location);
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    await assertProblem(again, 503, "broker-unavailable");
    assert.equal(copies.length, 1);
  });
});

Deno.test("Prefer: wait is answered with the record when the command is final", async () => {
  await withCommandApi(async (api) => {
    const { post, words, requests } = api;
    words.push(NOBODY);
    api.onPublish = ({ messageId }) => {
      setTimeout(() => requests.cancel({ deviceId: DEVICE_ID, messageId }), 50);
    };
    const response = await post({ ...TTL, prefer: "wait=30", "idempotency-key": "k1" });
    assert.equal(response.status, 200);
    assert.equal(response.headers.get("preference-applied"), "wait=30");
    const record = await response.json();
    assert.equal(record.state, "cancelled");
    assert.equal(response.headers.get("location"), `${PATH}/${record.message_id}`);
    const again = await post({ ...TTL, prefer: "wait=30", "idempotency-key": "k1" });
    assert.equal(again.headers.get("idempotent-replayed"), "true");
    assert.deepEqual(await again.json(), record);
  });
});

Deno.test("a wait that is over brings the record as it is; a longer one is cut", async () => {
  await withCommandApi(async ({ post, waits, ask }) => {
    const response = await post({ prefer: "wait=0" });
    assert.equal(response.headers.get("preference-applied"), "wait=0");
    assert.deepEqual([response.status, (await response.json()).state], [200, "sent"]);
    const held = post({ prefer: "wait=3600" });
    setTimeout(() => waits.close(), 50);
    assert.equal((await held).headers.get("preference-applied"), "wait=60");
    const etag = (await ask(response.headers.get("location")!)).headers.get("etag")!;
    const poll = { headers: { "if-none-match": etag, prefer: "wait=30" } };
    const last = await ask(response.headers.get("location")!, poll);
    assert.equal(last.status, 304, "a gateway that stops holds nothing");
  });
});

Deno.test("a record has a strong tag: 304 while it stays, 200 when it changes", async () => {
  await withCommandApi(async ({ post, ask, words, requests }) => {
    words.push(NOBODY);
    const { message_id: messageId } = await (await post(TTL)).json();
    const path = `${PATH}/${messageId}`;
    const first = await ask(path);
    const etag = first.headers.get("etag")!;
    assert.match(etag, /^"[0-9a-f]{32}"$/);
    const known = { "if-none-match": etag };
    const unchanged = await ask(path, { headers: known });
    assert.deepEqual([unchanged.status, await unchanged.text()], [304, ""]);
    assert.equal(unchanged.headers.get("etag"), etag);
    assert.equal(unchanged.headers.get("preference-applied"), null);
    const late = await ask(path, { headers: { ...known, prefer: "wait=0" } });
    assert.deepEqual([late.status, late.headers.get("preference-applied")], [304, "wait=0"]);
    const held = ask(path, { headers: { ...known, prefer: "wait=30" } });
    setTimeout(() => requests.cancel({ deviceId: DEVICE_ID, messageId }), 50);
    const changed = await held;
    assert.equal(changed.headers.get("preference-applied"), "wait=30");
    assert.notEqual(changed.headers.get("etag"), etag);
    assert.equal((await changed.json()).state, "cancelled");
    assert.equal((await ask(path, { headers: { prefer: "wait=30" } })).status, 200);
  });
});

function isFull(watch: CommandApi["watch"], messageId: string): boolean {
  const follower = watch.follow(messageId);
  follower?.end();
  return follower === undefined;
}

Deno.test("a long poll ends when its client goes, and makes room", async () => {
  await withCommandApi(async ({ post, ask, watch }) => {
    const { message_id } = await (await post()).json();
    const path = `${PATH}/${message_id}`;
    const etag = (await ask(path)).headers.get("etag")!;
    const headers = { "if-none-match": etag, prefer: "wait=60" };
    const gone = new AbortController();
    const polls = Array.from({ length: 1_000 }, () => ask(path, { headers, signal: gone.signal }));
    await poll("all to be held", () => isFull(watch, message_id));
    const more = await ask(path, { headers });
    assert.deepEqual([more.status, more.headers.get("preference-applied")], [304, null]);
    gone.abort();
    await Promise.allSettled(polls);
    assert.equal(isFull(watch, message_id), false);
  });
});

Deno.test("DELETE cancels what waits, withdraws what was sent, and cannot end what has ended", async () => {
  await withCommandApi(async ({ post, ask, words, events }) => {
    words.push(NOBODY, NOBODY);
    const cancel = async (response: Response) =>
      await ask(response.headers.get("location")!, { method: "DELETE" });
    const waiting = await post(TTL);
    const cancelled = await cancel(waiting);
    assert.deepEqual([cancelled.status, (await cancelled.json()).state], [200, "cancelled"]);
    const final = await cancel(waiting);
    assert.equal((await final.clone().json()).state, "cancelled");
    await assertProblem(final, 409, "already-final");
    words.length = 0;
    words.push(QUEUED);
    const sent = await post(TTL);
    for (let i = 0; i < 2; i++) {
      const withdrawn = await cancel(sent);
      const record = await withdrawn.json();
      assert.deepEqual([withdrawn.status, record.state, record.withdrawn], [202, "sent", true]);
    }
    const told = events.filter((event) => event.kind === "command_cancelled");
    assert.deepEqual(told.map(({ keyName, state }) => `${keyName} ${state}`), [
      "right cancelled",
      "right sent",
    ]);
    const none = await ask(`${PATH}/${MESSAGE_ID}`, { method: "DELETE" });
    await assertProblem(none, 404, "unknown-command");
  });
});

Deno.test("the list has every command once, page by page, also those of one state", async () => {
  await withCommandApi(async ({ post, ask, words }) => {
    const ids: string[] = [];
    for (let i = 0; i < 7; i++) {
      words.push(i % 2 === 0 ? NOBODY : QUEUED);
      ids.push((await (await post({}, String(i))).json()).message_id);
    }
    const pages = async (query: string) => {
      const seen: string[] = [];
      let next: string | null = null;
      do {
        const after: string = next === null ? "" : `&after=${next}`;
        const page = await (await ask(`${PATH}?${query}${after}`)).json();
        seen.push(...page.commands.map((one: { message_id: string }) => one.message_id));
        next = page.next;
      } while (next !== null);
      return seen;
    };
    assert.deepEqual(await pages(""), ids);
    for (const limit of [1, 2, 3, 6, 7, 100]) assert.deepEqual(await pages(`limit=${limit}`), ids);
    const states = await pages("state=sent&limit=2");
    assert.deepEqual(states, ids.filter((_, i) => i % 2 === 1));
    assert.deepEqual(await pages("state=done"), []);
  });
});

Deno.test("a query that is wrong is refused, and says what is allowed", async () => {
  await withCommandApi(async ({ post, ask }) => {
    await post();
    const wrong = [
      "state=",
      "state=Sent",
      "state=sent&state=done",
      "limit=0",
      "limit=101",
      "limit=",
      "limit=1.5",
      "limit=-1",
      "after=",
      "after=x",
      `after=${MESSAGE_ID}`,
      "stat=sent",
    ];
    for (const query of wrong) {
      await assertProblem(await ask(`${PATH}?${query}`), 400, "bad-query");
    }
  });
});

Deno.test("a key for other devices learns nothing of a command, and cannot end it", async () => {
  await withCommandApi(async ({ post, ask }) => {
    const location = (await post()).headers.get("location")!;
    const hidden = await ask(location, { headers: OTHER });
    const missing = await ask(`/command/sensor_002/${MESSAGE_ID}`, { headers: OTHER });
    assert.deepEqual(await hidden.clone().json(), await missing.json());
    await assertProblem(hidden, 404, "unknown-command");
    const cancel = { method: "DELETE", headers: OTHER };
    await assertProblem(await ask(location, cancel), 404, "unknown-command");
    await assertProblem(await ask(PATH, { headers: OTHER }), 404, "unknown-device");
    await assertProblem(await ask("/command/sensor_002"), 404, "unknown-device");
    await assertProblem(await ask("/command/_a"), 404, "unknown-device");
    const elsewhere = location.replace(DEVICE_ID, "sensor_002");
    await assertProblem(await ask(elsewhere), 404, "unknown-command");
    assert.equal((await (await ask(location)).json()).withdrawn, false);
  });
});

Deno.test("without a key no path of commands says anything", async () => {
  await withCommandApi(async ({ post, ask }) => {
    const location = (await post()).headers.get("location")!;
    const headers = { authorization: "" };
    for (const path of [PATH, location, `${PATH}/x`]) {
      await assertProblem(await ask(path, { headers }), 401, "unauthorized");
    }
    const cancel = { method: "DELETE", headers };
    await assertProblem(await ask(location, cancel), 401, "unauthorized");
  });
});

Deno.test("a store that cannot be written cancels nothing, and says so", async () => {
  await withCommandApi(async ({ post, ask, words, faults }) => {
    words.push(NOBODY);
    const location = (await post(TTL)).headers.get("location")!;
    faults.push(new Error("disk full"));
    const response = await ask(location, { method: "DELETE" });
    assert.ok(Number(response.headers.get("retry-after")) > 0);
    await assertProblem(response, 503, "store-unavailable");
    assert.equal((await (await ask(location)).json()).state, "waiting");
  });
});
