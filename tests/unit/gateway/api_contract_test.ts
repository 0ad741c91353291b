/** The API and its description, docs/openapi.json, say the same. */

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { BearerAuth, WRONG_KEYS_MAX } from "../../../src/gateway/api/bearer_auth.ts";
import { problem, type ProblemName, PROBLEMS } from "../../../src/gateway/api/problem.ts";
import { RequestGate } from "../../../src/gateway/api/request_gate.ts";
import { type ApiHandler, createRoutes } from "../../../src/gateway/api/routes.ts";
import type { CommandResult } from "../../../src/gateway/pipeline/command_requests.ts";
import { Contract, type Json } from "../../support/contract.ts";

const CONTRACT = new Contract("openapi.json");
const COMMAND = "/command/{id}";
const PATHS = [COMMAND, "/healthz", "/readyz", "/metrics", "/openapi.json"] as const;
const CONTENT_FIELDS = ["content-type", "content-length"];
const MESSAGE_ID = "660f9500-f39c-42e5-b827-557766551111";
const SENT: CommandResult & { kind: "accepted" } = {
  kind: "accepted",
  messageId: MESSAGE_ID,
  timestamp: 1_727_712_100,
  delivery: "queued",
  replayed: false,
};

/** What is different about a gateway and a request; the rest is as it should be. */
interface Case {
  readonly result?: CommandResult;
  readonly reasons?: readonly string[];
  readonly degraded?: readonly string[];
  readonly isBroken?: boolean;
  readonly isStopping?: boolean;
  readonly wrongKeys?: number;
  readonly url?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: BodyInit;
}

const OTHER_METHOD = { method: "PUT" };
const BAD_HOST = { headers: { host: "a/b" } };
const WRONG_KEY = { headers: { authorization: "Bearer wrong" } };
const FLOODED = { ...WRONG_KEY, wrongKeys: WRONG_KEYS_MAX };
const UNSENT: CommandResult = { kind: "unsent" };
const ENDLESS = () => new ReadableStream<Uint8Array<ArrayBuffer>>();

/** Every answer there is: an operation, its status, what leads to it, and its problem. */
const ANSWERS: readonly (readonly [
  path: typeof PATHS[number],
  status: number,
  what: Case,
  problem?: ProblemName,
])[] = [
  [COMMAND, 202, {}],
  [COMMAND, 202, { result: { ...SENT, delivery: "no_subscriber" } }],
  [COMMAND, 400, { body: "{" }, "not-json"],
  [COMMAND, 401, WRONG_KEY, "unauthorized"],
  [COMMAND, 404, { result: { kind: "unknown_device" } }, "unknown-device"],
  [COMMAND, 404, { url: "/command/sensor_001/more" }, "not-found"],
  [COMMAND, 408, { body: ENDLESS() }, "timeout"],
  [COMMAND, 413, { body: `"${"x".repeat(65_536)}"` }, "too-large"],
  [COMMAND, 415, { headers: { "content-type": "text/plain" } }, "not-application-json"],
  [COMMAND, 429, FLOODED, "too-many-wrong-keys"],
  [COMMAND, 500, { isBroken: true }, "internal"],
  [COMMAND, 503, { result: UNSENT }, "broker-unavailable"],
  [COMMAND, 503, { result: { kind: "unstored" } }, "store-unavailable"],
  ["/healthz", 200, {}],
  ["/readyz", 200, {}],
  ["/readyz", 200, { degraded: ["the backend answers 401"] }],
  ["/readyz", 500, { isBroken: true }, "internal"],
  ["/readyz", 503, { reasons: ["the broker is not connected"] }, "not-ready"],
  ["/metrics", 200, {}],
  ["/metrics", 401, WRONG_KEY, "unauthorized"],
  ["/metrics", 429, FLOODED, "too-many-wrong-keys"],
  ["/metrics", 500, { isBroken: true }, "internal"],
  ["/openapi.json", 200, {}],
  ...PATHS.flatMap((path) =>
    [
      [path, 400, BAD_HOST, "bad-host"],
      [path, 405, OTHER_METHOD, "method-not-allowed"],
      [path, 503, { isStopping: true }, "not-ready"],
    ] as const
  ),
];

function operationAt(path: string): Json {
  const item = CONTRACT.root["paths"]![path]!;
  return item["post"] ?? item["get"]!;
}

function makeApi(what: Case): ApiHandler {
  const broken = () => {
    throw new Error("broken");
  };
  const keys = [{
    name: "backend",
    digest: createHash("sha256").update("right").digest(),
    createdAt: 1,
    deviceIds: undefined,
  }];
  const clock = { wallMs: () => 0, monotonicMs: () => 0 };
  return createRoutes({
    auth: new BearerAuth(() => Promise.resolve(keys), clock),
    unreadiness: what.isBroken ? broken : () => what.reasons ?? [],
    degraded: () => what.degraded ?? [],
    metrics: {
      text: what.isBroken ? broken : () => Promise.resolve("x 1\n"),
      contentType: "text/plain; version=0.0.4; charset=utf-8",
    },
    commands: { send: what.isBroken ? broken : () => Promise.resolve(what.result ?? SENT) },
    onRefused: () => {},
    bodyTimeoutMs: 10,
    emit: () => {},
  });
}

async function ask(path: string, what: Case): Promise<Response> {
  const gate = new RequestGate();
  if (what.isStopping) gate.close();
  else gate.open(makeApi(what));
  const method = what.method ?? (path === COMMAND ? "POST" : "GET");
  const request = () =>
    new Request(`https://gateway${what.url ?? path.replace("{id}", "sensor_001")}`, {
      method,
      headers: {
        authorization: "Bearer right",
        "content-type": "application/json",
        ...what.headers,
      },
      ...(method === "POST" && { body: what.body ?? '{"action":"reboot"}' }),
    });
  for (let i = 0; i < (what.wrongKeys ?? 0); i++) await gate.handle(request(), "192.0.2.1");
  return await gate.handle(request(), "192.0.2.1");
}

for (const [path, status, what, name] of ANSWERS) {
  Deno.test(`${path} answers ${status} ${name ?? ""} as described`, async () => {
    const response = await ask(path, what);
    assert.equal(response.status, status);
    const operation = operationAt(path);
    const described = CONTRACT.follow(operation["responses"]![status]!);
    assert.deepEqual(
      [...response.headers.keys()].filter((field) => !CONTENT_FIELDS.includes(field)),
      Object.keys(described["headers"] ?? {}).map((field) => field.toLowerCase()),
    );
    assert.deepEqual(await CONTRACT.faultsOfAnswer(operation, response.clone()), []);
    if (name === undefined) return void await response.body?.cancel();
    assert.equal((await response.json()).type, `urn:secure-iot-gateway:problem:${name}`);
  });
}

Deno.test("every path, status and problem that is described can come", () => {
  assert.deepEqual(Object.keys(CONTRACT.root["paths"]!).sort(), [...PATHS].sort());
  for (const path of PATHS) {
    const rows = ANSWERS.filter(([of]) => of === path);
    for (const [status, answer] of Object.entries(operationAt(path)["responses"]!)) {
      const names = new Set(
        rows.filter(([, of]) => String(of) === status).map(([, , , name]) => name),
      );
      const examples = CONTRACT.follow(answer)["content"]!["application/problem+json"]
        ?.["examples"];
      if (examples) {
        assert.deepEqual(Object.keys(examples).sort(), [...names].sort(), path + status);
      } else assert.ok(names.size > 0, path + status);
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
  const response = await ask("/openapi.json", { headers: { authorization: "" } });
  assert.deepEqual(await response.json(), CONTRACT.root);
});

Deno.test("what an answer has is described, field by field", async () => {
  for (const [path, status, what, name] of ANSWERS) {
    if (name !== undefined || path === "/metrics" || path === "/openapi.json") continue;
    const { content } = CONTRACT.follow(operationAt(path)["responses"]![status]!);
    const { properties } = CONTRACT.follow(content!["application/json"]!["schema"]!);
    const body = await (await ask(path, what)).json();
    assert.deepEqual(Object.keys(body), Object.keys(properties!), path);
  }
});
