/** What the page's API answers is what docs/openapi.json says, operation by operation. */

import assert from "node:assert/strict";
import { reject } from "../../../../src/core/rejection.ts";
import { WRONG_KEYS_MAX } from "../../../../src/gateway/api/bearer_auth.ts";
import { Contract, type Json } from "../../../support/contract.ts";
import { NOW } from "../../../support/judge.ts";
import { type PageApi, type PageRequest, withPageApi } from "../../../support/page_api.ts";
import { ACCEPTED } from "../../../support/sample_command.ts";
import { accept } from "../../store/contract/commands_contract.ts";
import { batch, candidate, deadLetter, messagesOf } from "../../store/contract/sample_batch.ts";

const CONTRACT = new Contract("openapi.json");
const DEVICE = "sensor_001";
const EVENTS = "GET /ui/api/events"; // in api_contract_test.ts

/** Each operation below /ui/api, as "GET /path". */
const OPERATIONS = Object.entries(CONTRACT.root["paths"]!).flatMap(([path, item]) =>
  path.startsWith("/ui/")
    ? Object.keys(item).map((method) => `${method.toUpperCase()} ${path}`)
    : []
).filter((operation) => operation !== EVENTS);

/** Operations that anyone with any key, or nobody, may ask for. */
const FOR_ALL = ["GET /ui/api/session", "POST /ui/api/session", "DELETE /ui/api/session"];

function operationOf(operation: string): Json {
  const [method, path] = operation.split(" ");
  return CONTRACT.root["paths"]![path!]![method!.toLowerCase()]!;
}

/** Something of everything. */
async function fill(api: PageApi) {
  const messages = messagesOf(api.store);
  await messages.commit(batch({ examined: [candidate(DEVICE, { verified: false })] }));
  await messages.commit(batch({ commandChanges: [accept({ ...ACCEPTED, deviceId: DEVICE })] }));
  const dead = [await deadLetter(messages, DEVICE), await deadLetter(messages, DEVICE)];
  const { committed: [waiting] } = await messages.commit(batch({ examined: [candidate(DEVICE)] }));
  assert.ok(waiting?.kind === "accepted");
  const { entry } = waiting;
  api.memory.take({ kind: "message_accepted", entry, lateSeconds: undefined });
  api.memory.take({
    ...{ kind: "message_rejected", identity: DEVICE, messageId: undefined },
    ...{ rejection: reject("malformed", "no JSON object"), bytes: new Uint8Array([0xff]) },
  });
  const lane = { deviceId: DEVICE, waiting: 1, tries: 2, stuck: true, failure: "status 500" };
  api.lanes.push({ ...lane, sequence: entry.sequence, front: entry });
  api.fileEnds.set("/site/certs/broker.crt", NOW);
  const certificate = { serial: "0a", notBefore: 1, notAfter: NOW + 1 };
  await api.store.registry.addCertificate(DEVICE, certificate);
  return { dead: dead[0]!, waiting: entry.sequence };
}

/** The path with what there is, or with what there is not. */
function pathOf(
  operation: string,
  there: { readonly dead: number; readonly waiting: number } | null,
) {
  const sequence = operation.includes("outbox") ? there?.waiting : there?.dead;
  return operation.split(" ")[1]!
    .replace("{id}", there ? DEVICE : "nobody")
    .replace("{sequence}", String(sequence ?? 999))
    .replace("{rejection}", there ? "1" : "999")
    .replace("{message_id}", ACCEPTED.messageId);
}

function requestOf(operation: string, key: string): PageRequest {
  const [method, path] = operation.split(" ");
  const isMany = /dead\/(retry|drop)$/.test(path!);
  const body = path === "/ui/api/session" ? { key } : isMany ? { device: DEVICE } : {};
  return { key, method: method!, ...(method === "POST" && { body }) };
}

async function assertDescribed(operation: string, response: Response): Promise<void> {
  const text = await response.clone().text();
  const faults = await CONTRACT.faultsOfAnswer(operationOf(operation), response);
  assert.deepEqual(faults, [], `${operation} ${response.status} ${text}`);
}

for (const operation of OPERATIONS) {
  Deno.test(`${operation} answers what is there, and what is not, as described`, async () => {
    await withPageApi([DEVICE], async (api) => {
      const key = await api.addKey("bob", "operate");
      const there = await fill(api);
      const response = await api.ask(pathOf(operation, there), requestOf(operation, key));
      const isCancel = operation.endsWith("/cancel"); // nothing is behind it here
      assert.ok(response.ok || isCancel, `${response.status} ${await response.clone().text()}`);
      if (response.ok) await assertFields(operation, response.clone());
      await assertDescribed(operation, response);
      if (!operationOf(operation)["responses"]!["404"] || isCancel) return;
      const request = requestOf(operation, key);
      const isMany = /dead\/(retry|drop)$/.test(operation);
      const none = isMany ? { ...request, body: { device: "nobody" } } : request;
      const missing = await api.ask(pathOf(operation, null), none);
      assert.equal(missing.status, 404);
      await assertDescribed(operation, missing);
    });
  });

  Deno.test(`${operation} refuses who may not and what it does not understand, as described`, async () => {
    await withPageApi([DEVICE], async (api) => {
      const key = await api.addKey("bob", "operate");
      const plain = await api.addKey("backend", "commands");
      const path = pathOf(operation, await fill(api));
      const { responses } = operationOf(operation);
      const request = requestOf(operation, key);
      const isChange = request.method !== "GET";
      const isFree = FOR_ALL.includes(operation);
      const rows: [status: number, request: PageRequest, path?: string][] = [
        [400, { ...request, headers: { host: "a/b" } }],
        [405, { ...request, method: "PUT" }],
      ];
      if (!isFree) {
        rows.push([401, { ...request, key: "wrong" }], [403, { ...request, key: plain }]);
        const isSession = { cookie: await api.logIn(key), site: "cross-site" };
        const { key: _, ...keyless } = request;
        rows.push([403, { ...keyless, ...isSession }]);
      }
      if (request.method === "GET" && !isFree) rows.push([400, request, `${path}?nonsense=1`]);
      if (isChange && !operation.startsWith("DELETE")) {
        rows.push([400, { ...request, body: "[]" }], [400, { ...request, body: { nonsense: 1 } }]);
        rows.push([413, { ...request, body: { nonsense: "x".repeat(5_000) } }]);
      }
      if (isChange) rows.push([415, { ...request, type: "text/plain" }]);
      for (const [status, one, at = path] of rows) {
        const response = await api.ask(at, one);
        assert.equal(response.status, status, JSON.stringify(one));
        await assertDescribed(operation, response);
      }
      if (!responses!["429"]) return;
      const wrong = operation === "POST /ui/api/session"
        ? { ...request, body: { key: "wrong" } }
        : { ...request, key: "wrong" };
      for (let i = 0; i < WRONG_KEYS_MAX; i++) await (await api.ask(path, wrong)).body?.cancel();
      const flooded = await api.ask(path, wrong);
      assert.equal(flooded.status, 429);
      await assertDescribed(operation, flooded);
    });
  });
}

/** Every member that is described is there, and no other. */
async function assertFields(operation: string, response: Response): Promise<void> {
  const described = CONTRACT.follow(operationOf(operation)["responses"]![response.status]!);
  const schema = described["content"]?.["application/json"]?.["schema"];
  if (schema === undefined) return;
  const { properties } = CONTRACT.follow(schema);
  assert.deepEqual(Object.keys(await response.json()).sort(), Object.keys(properties!).sort());
}

Deno.test("each operation of the page's API says who may ask", () => {
  for (const operation of OPERATIONS) {
    const { security, tags } = operationOf(operation) as Record<string, unknown>;
    assert.deepEqual(tags, ["page"], operation);
    const names = (security as Record<string, unknown>[]).flatMap((one) => Object.keys(one));
    const isSession = operation.endsWith("/session");
    if (!isSession) assert.deepEqual(names, ["apiKey", "session"], operation);
  }
});
