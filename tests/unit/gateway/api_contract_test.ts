/** The API and its description, docs/openapi.json, say the same. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BearerAuth, WRONG_KEYS_MAX } from "../../../src/gateway/api/bearer_auth.ts";
import { problem, type ProblemName, PROBLEMS } from "../../../src/gateway/api/problem.ts";
import { RequestGate } from "../../../src/gateway/api/request_gate.ts";
import { type ApiHandler, createRoutes } from "../../../src/gateway/api/routes.ts";
import type { Command } from "../../../src/core/command_life.ts";
import { commandRecord } from "../../../src/core/command_record.ts";
import type {
  CommandRequests,
  CommandResult,
} from "../../../src/gateway/pipeline/command_requests.ts";
import { EventFeed } from "../../../src/gateway/telemetry/event_feed.ts";
import { withPageHeaders } from "../../../src/gateway/page/page_headers.ts";
import { apiParts } from "../../support/api_parts.ts";
import { Contract, type Json } from "../../support/contract.ts";

const CONTRACT = new Contract("openapi.json");
const POST = "POST /command/{id}";
const LIST = "GET /command/{id}";
const GET = "GET /command/{id}/{message_id}";
const DELETE = "DELETE /command/{id}/{message_id}";
const EVENTS = "GET /ui/api/events";
const OPERATIONS = [
  POST,
  LIST,
  GET,
  DELETE,
  "GET /healthz",
  "GET /readyz",
  "GET /metrics",
  "GET /openapi.json",
  EVENTS,
] as const;
const CONTENT_FIELDS = ["content-type", "content-length"];

/** Every answer below /ui has them. */
const PAGE_FIELDS = [...withPageHeaders(new Response()).headers.keys()];
const MESSAGE_ID = "660f9500-f39c-42e5-b827-557766551111";
const SENT: CommandResult & { kind: "accepted" } = {
  kind: "accepted",
  messageId: MESSAGE_ID,
  timestamp: 1_727_712_100,
  delivery: "queued",
  replayed: false,
};

const REPLAYED = { ...SENT, replayed: true };
const RECORD: Command = {
  ...{ deviceId: "sensor_001", messageId: MESSAGE_ID, keyName: "backend", state: "done" },
  ...{ delivery: "queued", createdSeconds: 1_727_712_100, expiresSeconds: 1_727_715_700 },
  ...{ isKept: true, sends: 1, copies: 1, lastSentSeconds: 1_727_712_100, withdrawn: false },
  acknowledgement: {
    ...{ state: "done", receivedSeconds: 1_727_712_102, timestamp: "1727712102" },
    payload: new TextEncoder().encode('{"state":"done"}'),
  },
};

/** What is different about a gateway and a request; the rest is as it should be. */
interface Case {
  readonly result?: CommandResult;
  readonly cancelled?: Awaited<ReturnType<CommandRequests["cancel"]>>;
  readonly commands?: readonly Command[];
  readonly isUnknown?: boolean;
  readonly reasons?: readonly string[];
  readonly degraded?: readonly string[];
  readonly isBroken?: boolean;
  readonly isStopping?: boolean;
  readonly wrongKeys?: number;
  /** Who follow the events already. */
  readonly watchers?: number;
  readonly url?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A key that looks, and does nothing else. */
  readonly isViewer?: boolean;
  /** Instead of the key. */
  readonly cookie?: string;
  readonly body?: BodyInit;
}

const OTHER_METHOD = { method: "PUT" };
const BAD_HOST = { headers: { host: "a/b" } };
const WRONG_KEY = { headers: { authorization: "Bearer wrong" } };
const FLOODED = { ...WRONG_KEY, wrongKeys: WRONG_KEYS_MAX };
const UNSENT: CommandResult = { kind: "unsent" };
const UNACKNOWLEDGED: CommandResult = {
  ...{ kind: "unacknowledged", messageId: MESSAGE_ID, replayed: false },
};
const ENDLESS = () => new ReadableStream<Uint8Array<ArrayBuffer>>();
const WAITING = { headers: { prefer: "wait=1" } };
const DIGEST = createHash("sha256").update(commandRecord(RECORD)).digest("hex");
const KNOWN = { "if-none-match": `"${DIGEST.slice(0, 32)}"` };

/** Every answer there is: an operation, its status, what leads to it, and its problem. */
const ANSWERS: readonly (readonly [
  operation: typeof OPERATIONS[number],
  status: number,
  what: Case,
  problem?: ProblemName,
])[] = [
  [POST, 200, WAITING],
  [POST, 200, { ...WAITING, result: REPLAYED }],
  [POST, 202, {}],
  [POST, 202, { result: { ...SENT, delivery: "no_subscriber" } }],
  [POST, 202, { result: { ...SENT, delivery: "stored" } }],
  [POST, 202, { result: REPLAYED }],
  [POST, 400, { body: "{" }, "not-json"],
  [POST, 400, { headers: { ttl: "soon" } }, "bad-ttl"],
  [POST, 400, { headers: { "idempotency-key": "" } }, "bad-idempotency-key"],
  [POST, 403, { isViewer: true }, "not-permitted"],
  [POST, 404, { result: { kind: "unknown_device" } }, "unknown-device"],
  [POST, 404, { url: "/command/sensor_001/more/more" }, "not-found"],
  [POST, 408, { body: ENDLESS() }, "timeout"],
  [POST, 409, { result: { kind: "key_under_way" } }, "key-under-way"],
  [POST, 413, { body: `"${"x".repeat(65_536)}"` }, "too-large"],
  [POST, 415, { headers: { "content-type": "text/plain" } }, "not-application-json"],
  [POST, 422, { result: { kind: "key_reused" } }, "key-reused"],
  [POST, 429, { result: { kind: "too_many_waiting" } }, "too-many-waiting"],
  [POST, 503, { result: UNSENT }, "broker-unavailable"],
  [POST, 503, { result: UNACKNOWLEDGED }, "broker-unavailable"],
  [POST, 503, { result: { ...UNACKNOWLEDGED, replayed: true } }, "broker-unavailable"],
  [POST, 503, { result: { kind: "unstored" } }, "store-unavailable"],
  [LIST, 200, {}],
  [LIST, 200, { url: "/command/sensor_001?limit=1", commands: [RECORD, RECORD] }],
  [LIST, 400, { url: "/command/sensor_001?limit=0" }, "bad-query"],
  [LIST, 404, { isUnknown: true, commands: [] }, "unknown-device"],
  [GET, 200, {}],
  [GET, 200, {
    headers: { ...KNOWN, ...WAITING.headers },
    commands: [RECORD, { ...RECORD, sends: 2 }],
  }],
  [GET, 304, { headers: KNOWN }],
  [GET, 304, { headers: { ...KNOWN, prefer: "wait=0" } }],
  [GET, 404, { commands: [] }, "unknown-command"],
  [DELETE, 200, {}],
  [DELETE, 202, { cancelled: { kind: "withdrawn", command: RECORD, isNews: true } }],
  [DELETE, 403, { isViewer: true }, "not-permitted"],
  [DELETE, 404, { cancelled: { kind: "unknown" } }, "unknown-command"],
  [DELETE, 409, { cancelled: { kind: "already_final", command: RECORD } }, "already-final"],
  [DELETE, 503, { cancelled: { kind: "unstored" } }, "store-unavailable"],
  ["GET /healthz", 200, {}],
  ["GET /readyz", 200, {}],
  ["GET /readyz", 200, { degraded: ["the backend answers 401"] }],
  ["GET /readyz", 500, { isBroken: true }, "internal"],
  ["GET /readyz", 503, { reasons: ["the broker is not connected"] }, "not-ready"],
  ["GET /metrics", 200, {}],
  ["GET /openapi.json", 200, {}],
  [EVENTS, 200, {}],
  [EVENTS, 400, { url: "/ui/api/events?with=all" }, "bad-query"],
  [EVENTS, 400, { url: "/ui/api/events?limit=1&limit=50" }, "bad-query"],
  [EVENTS, 400, { url: "/ui/api/events?device=a&device=b" }, "bad-query"],
  [EVENTS, 403, {
    cookie: `__Host-session=${"a".repeat(43)}`,
    headers: { "sec-fetch-site": "cross-site" },
  }, "cross-site"],
  [EVENTS, 404, { url: "/ui/api/events?device=.." }, "unknown-device"],
  [EVENTS, 429, { watchers: 16 }, "too-many-watchers"],
  ...OPERATIONS.flatMap((operation) =>
    [
      [operation, 400, BAD_HOST, "bad-host"],
      [operation, 405, OTHER_METHOD, "method-not-allowed"],
      [operation, 503, { isStopping: true }, "not-ready"],
    ] as const
  ),
  ...([POST, LIST, GET, DELETE, "GET /metrics", EVENTS] as const).flatMap((operation) =>
    [
      [operation, 401, WRONG_KEY, "unauthorized"],
      [operation, 429, FLOODED, "too-many-wrong-keys"],
      [operation, 500, { isBroken: true }, "internal"],
    ] as const
  ),
];

function operationOf(operation: string): Json {
  const [method, path] = operation.split(" ");
  return CONTRACT.root["paths"]![path!]![method!.toLowerCase()]!;
}

function makeApi(what: Case): ApiHandler {
  const broken = () => {
    throw new Error("broken");
  };
  const keys = [{
    name: "backend",
    digest: createHash("sha256").update("right").digest(),
    createdAt: 1,
    role: what.isViewer ? "view" as const : "commands" as const,
    deviceIds: undefined,
  }];
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  const found = [...what.commands ?? [RECORD]];
  const find = () => Promise.resolve(found.length > 1 ? found.shift() : found[0]);
  const resolved = <T>(value: T) => what.isBroken ? broken : () => Promise.resolve(value);
  const commands = {
    find: what.isBroken ? broken : find,
    list: resolved(what.commands ?? [RECORD]),
  };
  const feed = new EventFeed(clock, "run");
  const selection = {
    owner: "backend",
    deviceIds: undefined,
    payloads: false,
    rejectedMessages: false,
  };
  for (let i = 0; i < (what.watchers ?? 0); i++) feed.follow({ ...selection, after: undefined });
  return createRoutes(apiParts({
    feed: what.isBroken ? { follow: broken } : feed,
    ...{ clock, commands, bodyTimeoutMs: 10 },
    auth: new BearerAuth(() => Promise.resolve(keys), clock),
    keys: {
      refresh: () => Promise.resolve(),
      statusOf: () => what.isUnknown ? "unknown" : "active",
    },
    unreadiness: what.isBroken ? broken : () => what.reasons ?? [],
    degraded: () => what.degraded ?? [],
    metrics: {
      text: resolved("x 1\n"),
      contentType: "text/plain; version=0.0.4; charset=utf-8",
    },
    requests: {
      send: resolved(what.result ?? SENT),
      cancel: resolved(what.cancelled ?? { kind: "cancelled", command: RECORD }),
    },
  }));
}

async function ask(operation: string, what: Case): Promise<Response> {
  const gate = new RequestGate();
  if (what.isStopping) gate.close();
  else gate.open(makeApi(what));
  const [ofOperation, path] = operation.split(" ");
  const method = what.method ?? ofOperation!;
  const url = path!.replace("{id}", "sensor_001").replace("{message_id}", MESSAGE_ID);
  const request = () =>
    new Request(`https://gateway${what.url ?? url}`, {
      method,
      headers: {
        ...(what.cookie ? { cookie: what.cookie } : { authorization: "Bearer right" }),
        "content-type": "application/json",
        ...what.headers,
      },
      ...(method === "POST" && { body: what.body ?? '{"action":"reboot"}' }),
    });
  for (let i = 0; i < (what.wrongKeys ?? 0); i++) await gate.handle(request(), "192.0.2.1");
  return await gate.handle(request(), "192.0.2.1", AbortSignal.abort());
}

for (const [operation, status, what, name] of ANSWERS) {
  Deno.test(`${operation} answers ${status} ${name ?? ""} as described`, async () => {
    const response = await ask(operation, what);
    assert.equal(response.status, status);
    const described = operationOf(operation);
    const fields = Object.keys(headersOf(described, status));
    assert.deepEqual(fieldsOf(response).filter((field) => !fields.includes(field)), []);
    assert.deepEqual(await CONTRACT.faultsOfAnswer(described, response.clone()), []);
    if (name === undefined) return void await response.body?.cancel();
    assert.equal((await response.json()).type, `urn:secure-iot-gateway:problem:${name}`);
  });
}

/** The fields that are described for a status, by their names in lower case. */
function headersOf(operation: Json, status: number): Json {
  const headers = CONTRACT.follow(operation["responses"]![status]!)["headers"] ?? {};
  return Object.fromEntries(
    Object.entries(headers).map(([name, header]) => [name.toLowerCase(), header]),
  );
}

/** What is said for all below /ui is not said of each. */
function fieldsOf({ headers }: Response): string[] {
  const isPage = headers.has("content-security-policy");
  const isCacheSaid = headers.get("content-type") === "text/event-stream";
  const common = isPage
    ? PAGE_FIELDS.filter((field) => !isCacheSaid || field !== "cache-control")
    : [];
  return [...headers.keys()].filter((field) => ![...CONTENT_FIELDS, ...common].includes(field));
}

Deno.test("every path, status, field and problem that is described can come", async () => {
  const described = Object.entries(CONTRACT.root["paths"]!).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
  ).filter((operation) => operation === EVENTS || !operation.includes(" /ui/")); // page_contract_test.ts
  assert.deepEqual(described.sort(), [...OPERATIONS].sort());
  for (const operation of OPERATIONS) {
    const rows = ANSWERS.filter(([of]) => of === operation);
    for (const [status, answer] of Object.entries(operationOf(operation)["responses"]!)) {
      const where = `${operation} ${status}`;
      const cases = rows.filter(([, of]) => String(of) === status);
      assert.ok(cases.length > 0, where);
      const examples = CONTRACT.follow(answer)["content"]?.["application/problem+json"]
        ?.["examples"];
      const names = new Set(cases.map(([, , , name]) => name));
      if (examples) assert.deepEqual(Object.keys(examples).sort(), [...names].sort(), where);
      const fields = new Set<string>();
      for (const [, , what] of cases) {
        if (what.body instanceof ReadableStream) continue; // it can be read once only
        const response = await ask(operation, what);
        for (const field of fieldsOf(response)) fields.add(field);
        await response.body?.cancel();
      }
      const all = Object.keys(headersOf(operationOf(operation), Number(status)));
      assert.deepEqual([...fields].sort(), all.sort(), where);
    }
  }
});

Deno.test("each problem of the table is an example, word for word, and no other is", async () => {
  const examples = Object.values(CONTRACT.root["components"]!["responses"]!).flatMap((answer) =>
    Object.entries(answer["content"]!["application/problem+json"]!["examples"]!)
  );
  assert.deepEqual(
    [...new Set(examples.map(([name]) => name))].sort(),
    Object.keys(PROBLEMS).sort(),
  );
  for (const [name, { value }] of examples) {
    assert.deepEqual(value, await problem(name as ProblemName).json());
  }
});

Deno.test("GET /openapi.json gives out docs/openapi.json, without a key", async () => {
  const response = await ask("GET /openapi.json", { headers: { authorization: "" } });
  assert.deepEqual(await response.json(), CONTRACT.root);
});

Deno.test("what an answer has is described, field by field", async () => {
  for (const [operation, status, what, name] of ANSWERS) {
    const isOther = ["GET /metrics", "GET /openapi.json", EVENTS].includes(operation);
    if (name !== undefined || isOther || status === 304) continue;
    const { content } = CONTRACT.follow(operationOf(operation)["responses"]![status]!);
    const { properties } = CONTRACT.follow(content!["application/json"]!["schema"]!);
    const body = await (await ask(operation, what)).json();
    assert.deepEqual(Object.keys(body), Object.keys(properties!), operation);
  }
});
