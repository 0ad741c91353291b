/** One batch and its answer, over HTTP: what is sent, and what becomes of any answer. */

import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import type { BatchOutcome } from "../../../src/core/delivery_batch.ts";
import type { OutboxEntry } from "../../../src/core/outbox_entry.ts";
import { HttpBackend } from "../../../src/gateway/backend/http_backend.ts";
import { PLAIN_BACKEND } from "../../support/plain_backend.ts";
import { ENTRY } from "../../support/sample_entry.ts";

const NOW = 1_727_715_725;
const CLOCK = { wallMs: () => NOW * 1000, monotonicMs: () => performance.now() };
const IDS = ["550e8400-e29b-41d4-a716-446655440000", "660E8400-e29b-41d4-a716-446655440000"];
const KEY = new Uint8Array(32).fill(7);
/** What a parser that writes again would change. */
const ODD = [
  '{"t":22.50,"n":-0,"e":1E2,"big":12345678901234567890,"tiny":1e-400}',
  '{"é":"\\u00e9\\ud83d\\udca7\\/","2":1,"1":2,"s":" a  b\\t","":[[],{}]}',
];

interface Received {
  readonly path: string;
  readonly headers: Headers;
  readonly text: string;
}

/** Sends the two entries in one batch to a server that answers so. */
async function exchange(
  answer: (received: Received) => Response,
): Promise<{ received: Received; outcome: BatchOutcome }> {
  let received: Received | undefined;
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const path = request.url.slice(request.url.indexOf("/", "http://".length));
      received = { path, headers: request.headers, text: await request.text() };
      return answer(received);
    },
  );
  const backend = new HttpBackend({
    ...PLAIN_BACKEND,
    url: `http://127.0.0.1:${server.addr.port}/base?k=v`,
    fields: [["X-Api-Key", "k"]],
    signingKeys: [KEY],
    batch: { max: 100, bytes: 262_144, path: "/batch" },
    timeoutMs: 20_000,
    concurrency: 1,
    toleranceSeconds: 300,
  }, CLOCK);
  try {
    const entries = ODD.map((payload, i): OutboxEntry => ({
      ...ENTRY,
      deviceId: i === 0 ? "a" : "b.2",
      messageId: IDS[i]!,
      timestamp: String(NOW - 300 - i),
      payload: new TextEncoder().encode(payload),
    }));
    const outcome = await backend.deliverBatch(entries, new AbortController().signal);
    return { received: received!, outcome };
  } finally {
    backend.close();
    await server.shutdown();
  }
}

/** What becomes of each of the two, as "status body", or why the answer is void. */
async function madeOf(text: string, init: ResponseInit = {}): Promise<readonly string[] | string> {
  const { outcome } = await exchange(() => new Response(text, init));
  if (outcome.kind === "invalid") return outcome.reason;
  if (outcome.kind === "whole") return [`whole ${JSON.stringify(outcome.outcome)}`];
  return outcome.outcomes.map((one) => {
    if (one.kind === "no_answer") return one.reason;
    const { status, body, retryAfter } = one;
    return [status, body && new TextDecoder().decode(body), ...retryAfter ? [retryAfter] : []]
      .join(" ");
  });
}

const item = (place: number, more = '"status":200') => `{"message_id":"${IDS[place]}",${more}}`;
const items = (...all: readonly string[]) => `{"items":[${all.join()}]}`;

Deno.test("a batch has its key, its signature, its fields, and each payload byte for byte", async () => {
  const { received: { path, headers, text } } = await exchange(() => new Response());
  assert.equal(path, "/base/batch?k=v");
  assert.equal(
    text,
    `[{"device_id":"a","message_id":"${IDS[0]}","timestamp":${NOW - 300},"payload":${ODD[0]}},` +
      `{"device_id":"b.2","message_id":"${IDS[1]}","timestamp":${NOW - 301},` +
      `"late_seconds":301,"payload":${ODD[1]}}]`,
  );
  const key = createHash("sha256").update(IDS.join("\n")).digest("hex");
  assert.equal(headers.get("idempotency-key"), key);
  assert.equal(headers.get("content-type"), "application/json");
  assert.equal(headers.get("x-api-key"), "k");
  assert.equal(headers.get("x-device-timestamp"), null, "it is each item's own");
  assert.equal(headers.get("x-gateway-late"), null);
  assert.equal(headers.get("webhook-id"), key);
  const signed = createHmac("sha256", KEY).update(`${key}.${NOW}.${text}`).digest("base64");
  assert.equal(headers.get("webhook-signature"), `v1,${signed}`);
});

Deno.test("each item has its own status and body, byte for byte, in whatever order they stand", async () => {
  const bodies = [` ${ODD[0]}`, `\n[ ${ODD[1]} ,1.0 ]\t`];
  const answer = items(
    item(1, `"body":${bodies[1]},"status":422`),
    item(0, `"status":200,"body":${bodies[0]}`),
  );
  assert.deepEqual(await madeOf(answer), [`200 ${ODD[0]}`, `422 [ ${ODD[1]} ,1.0 ]`]);
});

Deno.test("2xx without items delivers all with nothing to say", async () => {
  for (const text of ["", "{}", '{"status":"received"}']) {
    assert.deepEqual(await madeOf(text, { status: 201 }), ["201 ", "201 "], text);
  }
  const { outcome } = await exchange(() => new Response(null, { status: 204 }));
  assert.ok(outcome.kind === "items" && outcome.outcomes.length === 2);
});

Deno.test("an item that is not named goes again, alone", async () => {
  const unnamed = "the answer to the batch does not name it";
  assert.deepEqual(await madeOf(items(item(1))), [unnamed, "200 "]);
  assert.deepEqual(await madeOf(items()), [unnamed, unnamed]);
});

Deno.test("Retry-After of the answer is each item's", async () => {
  const headers = { "retry-after": "30" };
  const answer = items(item(0, '"status":429'), item(1, '"status":200'));
  assert.deepEqual(await madeOf(answer, { headers }), ["429  30", "200  30"]);
});

Deno.test("an answer that is not as agreed is void, and named without a word of it", async () => {
  const many = Array.from(
    { length: 300 },
    () => `{"message_id":"${crypto.randomUUID()}","status":200}`,
  );
  const cases: readonly (readonly [answer: string, reason: RegExp])[] = [
    [items(item(0), item(1), item(0)), /^a message that is in two items, at byte \d+$/],
    [items(item(0), many[0]!), /^a "message_id" that is not in the batch, at byte \d+$/],
    [items(item(0), item(1), ...many), /^a "message_id" that is not in the batch, at byte \d+$/],
    [items(item(0, '"status":1000')), /^a "status" that is not a number from 200 to 999, at/],
    [items(item(0, '"status":102')), /^a "status" that is not a number from 200 to 999, at/],
    ["<html>s3cr3t</html>", /^not a JSON object, at byte 0$/],
    [items(item(0)).slice(0, -1), /^unexpected end, at byte \d+$/],
    [`{"items":[],"x":"${"x".repeat(10 * 1024 * 1024)}"}`, /^longer than 133120 bytes, or it/],
  ];
  for (const [answer, reason] of cases) {
    const made = await madeOf(answer);
    assert.ok(typeof made === "string", `${answer.slice(0, 80)}: ${made}`);
    assert.match(made, reason);
    assert.doesNotMatch(made, /s3cr3t|xxx/);
  }
});

Deno.test("an answer that breaks off says nothing of any item", async () => {
  const { outcome } = await exchange(() => {
    const text = new TextEncoder().encode(items(item(0), item(1)));
    return new Response(
      new ReadableStream({
        start(controller) {
          controller.enqueue(text.subarray(0, text.length - 3));
          setTimeout(() => controller.error(), 20);
        },
      }),
    );
  });
  assert.ok(outcome.kind === "invalid", outcome.kind);
  assert.match(outcome.reason, /broke off/);
});

Deno.test("a status that is not 2xx is of the whole, with its Retry-After", async () => {
  for (const status of [302, 401, 413, 422, 429, 503]) {
    const answer = new Response(items(item(0)), { status, headers: { "retry-after": "7" } });
    const { outcome } = await exchange(() => answer);
    assert.ok(outcome.kind === "whole" && outcome.outcome.kind === "answer", `${status}`);
    assert.equal(outcome.outcome.status, status);
    assert.equal(outcome.outcome.retryAfter, "7");
  }
});
