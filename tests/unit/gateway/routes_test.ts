import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { ApiKey } from "../../../src/store/api_keys.ts";
import { type ApiHandler, createRoutes } from "../../../src/gateway/api/routes.ts";
import {
  BearerAuth,
  WRONG_KEYS_MAX,
  WRONG_KEYS_WINDOW_MS,
} from "../../../src/gateway/api/bearer_auth.ts";
import type { CommandResult } from "../../../src/gateway/pipeline/command_requests.ts";
import { apiParts } from "../../support/api_parts.ts";

const KEY = "correct-horse-battery-staple";
const OTHER_KEY = "for-sensor-002-only";
const METRICS_KEY = "for-no-device-at-all";

function keyOf(
  key: string,
  deviceIds?: readonly string[],
  role: ApiKey["role"] = "commands",
): ApiKey {
  const digest = createHash("sha256").update(key).digest();
  return { name: key, digest, createdAt: 1, role, deviceIds };
}

const KEYS = [keyOf(KEY), keyOf(OTHER_KEY, ["sensor_002"]), keyOf(METRICS_KEY, [])];

interface Fake {
  readonly api: ApiHandler;
  readonly events: GatewayEvent[];
  readonly dispatched: [string, string][];
  keys: readonly ApiKey[];
  nowMs: number;
  answer: CommandResult;
  reasons: string[];
  degraded: string[];
}

function fakeApi(): Fake {
  const clock = { wallMs: () => fake.nowMs, monotonicMs: () => fake.nowMs };
  const api = createRoutes(apiParts({
    auth: new BearerAuth(() => Promise.resolve(fake.keys), clock),
    unreadiness: () => fake.reasons,
    degraded: () => fake.degraded,
    requests: {
      send: ({ deviceId, payload }) => {
        fake.dispatched.push([deviceId, new TextDecoder().decode(payload)]);
        return Promise.resolve(fake.answer);
      },
      cancel: () => Promise.resolve({ kind: "unknown" }),
    },
    onRefused: (refusal) => fake.events.push({ kind: "command_refused", ...refusal, count: 1 }),
    emit: (event) => fake.events.push(event),
  }));
  const fake: Fake = {
    api,
    events: [],
    dispatched: [],
    keys: KEYS,
    nowMs: 0,
    answer: {
      ...{ kind: "accepted", messageId: "m", timestamp: 1_727_712_100 },
      ...{ delivery: "queued", replayed: false },
    },
    reasons: [],
    degraded: [],
  };
  return fake;
}

interface Ask {
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Record<string, string>;
  readonly body?: BodyInit;
  readonly address?: string;
}

async function ask(fake: Fake, over: Ask = {}): Promise<Response> {
  const request = new Request(`https://gateway${over.path ?? "/command/sensor_001"}`, {
    method: over.method ?? "POST",
    headers: {
      authorization: `Bearer ${KEY}`,
      "content-type": "application/json",
      ...over.headers,
    },
    ...((over.method ?? "POST") === "POST" && { body: over.body ?? '{"action":"reboot"}' }),
  });
  return await fake.api(request, over.address ?? "192.0.2.1");
}

async function assertProblem(response: Response, status: number, name: string): Promise<void> {
  assert.equal(response.status, status);
  assert.equal(response.headers.get("content-type"), "application/problem+json");
  const problem = await response.json();
  assert.equal(problem.type, `urn:secure-iot-gateway:problem:${name}`);
  assert.equal(problem.status, status);
  assert.ok(problem.title);
}

Deno.test("POST /command/{id} answers 202 once the broker has it", async () => {
  const fake = fakeApi();
  const response = await ask(fake, { body: ' { "action" : "re boot", "n": 22.50 } ' });
  assert.equal(response.status, 202);
  assert.deepEqual(await response.json(), {
    device_id: "sensor_001",
    message_id: "m",
    timestamp: 1_727_712_100,
    delivery: "queued",
  });
  assert.deepEqual(fake.dispatched, [["sensor_001", '{"action":"re boot","n":22.50}']]);
  const absent = { messageId: "m", timestamp: 1, delivery: "no_subscriber" } as const;
  fake.answer = { kind: "accepted", ...absent, replayed: false };
  assert.equal((await (await ask(fake)).json()).delivery, "no_subscriber");
});

Deno.test("a body that is not JSON, too large or of another type is refused", async () => {
  const fake = fakeApi();
  for (const body of ["", "{", "{}{}", "{'a':1}", "nul", '"\u0001"', "[".repeat(65)]) {
    await assertProblem(await ask(fake, { body }), 400, "not-json");
  }
  await assertProblem(
    await ask(fake, { body: new Uint8Array([0x22, 0xff, 0x22]) }),
    400,
    "not-json",
  );
  const large = `"${"x".repeat(65_535)}"`;
  await assertProblem(await ask(fake, { body: large }), 413, "too-large");
  const headers = { "content-type": "text/plain" };
  await assertProblem(await ask(fake, { headers }), 415, "not-application-json");
  assert.deepEqual(fake.dispatched, []);
  const atTheLimit = `"${"x".repeat(65_534)}"`;
  assert.equal((await ask(fake, { body: atTheLimit })).status, 202);
  const parameters = { "content-type": "Application/JSON; charset=utf-8" };
  assert.equal((await ask(fake, { headers: parameters })).status, 202);
});

Deno.test("a body without an end is cut off at the limit", async () => {
  const fake = fakeApi();
  let sent = 0;
  const body = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull(controller) {
      sent += 10_000;
      controller.enqueue(new Uint8Array(10_000).fill(0x20));
    },
  });
  await assertProblem(await ask(fake, { body }), 413, "too-large");
  assert.ok(sent < 200_000, `${sent} bytes were read`);
});

Deno.test("a missing and a wrong key get the same answer", async () => {
  const fake = fakeApi();
  const answers = [];
  for (
    const authorization of [
      "",
      "Bearer",
      `Bearer ${KEY}x`,
      `Bearer ${KEY.slice(1)}`,
      `Basic ${KEY}`,
      `Bearer ${KEY}, Bearer ${KEY}`,
      `Bearer  ${KEY}`,
    ]
  ) {
    const response = await ask(fake, { headers: { authorization } });
    answers.push([
      response.status,
      response.headers.get("www-authenticate"),
      await response.text(),
    ]);
  }
  assert.equal(answers[0]![0], 401);
  for (const answer of answers) assert.deepEqual(answer, answers[0]);
  assert.deepEqual(fake.dispatched, []);
});

Deno.test("a client without a key learns nothing of devices, types or bodies", async () => {
  const fake = fakeApi();
  const headers = { authorization: "Bearer no", "content-type": "text/plain" };
  const response = await ask(fake, { path: "/command/..%2F", headers, body: "{" });
  await assertProblem(response, 401, "unauthorized");
});

Deno.test("a key for one device has no other device, whatever is sent and whether there is one", async () => {
  const fake = fakeApi();
  const headers = { authorization: `Bearer ${OTHER_KEY}` };
  assert.equal((await ask(fake, { path: "/command/sensor_002", headers })).status, 202);
  const dispatched = fake.dispatched.length;
  const bodies: Ask[] = [{}, { body: "{" }, { body: `"${"x".repeat(65_536)}"` }];
  for (const over of bodies) {
    await assertProblem(await ask(fake, { ...over, headers }), 404, "unknown-device");
  }
  const text = { ...headers, "content-type": "text/plain" };
  await assertProblem(await ask(fake, { headers: text }), 404, "unknown-device");
  assert.equal(fake.dispatched.length, dispatched);
  const none = { authorization: `Bearer ${METRICS_KEY}` };
  await assertProblem(await ask(fake, { headers: none }), 404, "unknown-device");
  assert.equal((await ask(fake, { path: "/metrics", method: "GET", headers: none })).status, 200);
});

Deno.test("a key that is taken out opens nothing from the next request on", async () => {
  const fake = fakeApi();
  assert.equal((await ask(fake)).status, 202);
  fake.keys = KEYS.slice(1);
  await assertProblem(await ask(fake), 401, "unauthorized");
  fake.keys = [];
  for (const authorization of [`Bearer ${KEY}`, "Bearer ", ""]) {
    await assertProblem(await ask(fake, { headers: { authorization } }), 401, "unauthorized");
  }
});

Deno.test("too many wrong keys from one address get 429, the right key passes all the same", async () => {
  const fake = fakeApi();
  const headers = { authorization: "Bearer no" };
  for (let i = 0; i < WRONG_KEYS_MAX; i++) assert.equal((await ask(fake, { headers })).status, 401);
  const refused = await ask(fake, { headers });
  assert.equal(refused.headers.get("retry-after"), "60");
  await assertProblem(refused, 429, "too-many-wrong-keys");
  assert.equal((await ask(fake, { headers, address: "192.0.2.2" })).status, 401);
  assert.equal((await ask(fake)).status, 202);
  fake.nowMs += WRONG_KEYS_WINDOW_MS;
  assert.equal((await ask(fake, { headers })).status, 401);
});

Deno.test("an unknown or revoked device, an impossible id and an unknown path are 404", async () => {
  const fake = fakeApi();
  for (const id of ["a%2Fb", "a%00", "..%2f..", "%2B", "x".repeat(65), "_a"]) {
    await assertProblem(await ask(fake, { path: `/command/${id}` }), 404, "unknown-device");
  }
  assert.deepEqual(fake.dispatched, []);
  fake.answer = { kind: "unknown_device" };
  await assertProblem(await ask(fake), 404, "unknown-device");
  for (const path of ["/", "/command", "/command/", "/command/a/b/c", "/metricsx"]) {
    await assertProblem(await ask(fake, { path }), 404, "not-found");
  }
});

Deno.test("another method is 405, with Allow", async () => {
  const fake = fakeApi();
  const notThere = [
    ["/command/sensor_001", ["PUT", "DELETE", "PATCH", "OPTIONS"], "GET, POST"],
    ["/command/sensor_001/m", ["POST", "PUT", "PATCH", "OPTIONS"], "GET, DELETE"],
  ] as const;
  for (const [path, methods, allow] of notThere) {
    for (const method of methods) {
      const response = await ask(fake, { path, method });
      assert.equal(response.headers.get("allow"), allow);
      await assertProblem(response, 405, "method-not-allowed");
    }
  }
  const response = await ask(fake, { path: "/readyz" });
  assert.equal(response.headers.get("allow"), "GET");
  await assertProblem(response, 405, "method-not-allowed");
});

Deno.test("503 with Retry-After where the broker did not take the command", async () => {
  const fake = fakeApi();
  fake.answer = { kind: "unsent" };
  const response = await ask(fake);
  assert.ok(Number(response.headers.get("retry-after")) > 0);
  await assertProblem(response, 503, "broker-unavailable");
});

Deno.test("each command with a key is an event: whose, to which device, and what came of it", async () => {
  const fake = fakeApi();
  await ask(fake);
  await ask(fake, { body: "{" });
  await ask(fake, {
    path: "/command/sensor_003",
    headers: { authorization: `Bearer ${OTHER_KEY}` },
  });
  fake.answer = { kind: "unacknowledged", messageId: "n", replayed: false };
  await ask(fake);
  await ask(fake, { headers: { authorization: "Bearer wrong" } });
  const names = { keyName: KEY, deviceId: "sensor_001" };
  assert.deepEqual(fake.events, [
    { kind: "command_accepted", ...names, messageId: "m", delivery: "queued" },
    { kind: "command_refused", ...names, messageId: undefined, reason: "not-json", count: 1 },
    {
      kind: "command_refused",
      keyName: OTHER_KEY,
      deviceId: "sensor_003",
      messageId: undefined,
      reason: "unknown-device",
      count: 1,
    },
    { kind: "command_refused", ...names, messageId: "n", reason: "broker-unavailable", count: 1 },
  ]);
});

Deno.test("/healthz says alive, /readyz says why not, /metrics wants the key", async () => {
  const fake = fakeApi();
  const get = (path: string, headers = {}) => ask(fake, { path, method: "GET", headers });
  assert.equal((await get("/healthz")).status, 200);
  assert.equal((await get("/readyz")).status, 200);
  assert.equal(await (await get("/metrics")).text(), "x 1\n");
  await assertProblem(await get("/metrics", { authorization: "" }), 401, "unauthorized");
  fake.degraded = ["the backend answers 401"];
  const degraded = await get("/readyz");
  assert.equal(degraded.status, 200, "messages are taken all the same");
  assert.deepEqual(await degraded.json(), { status: "ready", degraded: fake.degraded });
  fake.reasons = ["the broker is not connected", "the outbox is full"];
  assert.equal((await get("/healthz")).status, 200);
  const notReady = await get("/readyz");
  assert.equal(notReady.status, 503);
  const problem = await notReady.json();
  assert.deepEqual(problem.degraded, fake.degraded);
  assert.match(problem.detail, /broker is not connected; the outbox is full/);
});
