/** What the gateway sends to a backend, and docs/backend_openapi.json, say the same. */

import assert from "node:assert/strict";
import { SampleBackend } from "../../src/demo/sandbox/sample_backend.ts";
import { HttpBackend } from "../../src/gateway/backend/http_backend.ts";
import { Contract } from "../support/contract.ts";
import { PLAIN_BACKEND } from "../support/plain_backend.ts";

const CLOCK = { wallMs: () => 1_727_715_725_000, monotonicMs: () => performance.now() };

/** What every HTTP client sends. */
const FIELDS_OF_HTTP = [
  ...["host", "accept", "accept-encoding", "accept-language", "user-agent"],
  ...["content-type", "content-length"],
];

Deno.test("each field of a request to the backend is described, and the reverse", async () => {
  const contract = new Contract("backend_openapi.json");
  const { parameters } = contract.root["paths"]!["/device/{device_id}/data"]!["post"]!;
  const fields = new Map(
    Object.values(parameters!).filter((one) => one["in"] as unknown === "header")
      .map(({ name, schema }) => [String(name).toLowerCase(), schema!]),
  );
  const backend = SampleBackend.start();
  const gateway = new HttpBackend({
    ...PLAIN_BACKEND,
    signingKeys: [new Uint8Array(32), new Uint8Array(32).fill(1)],
    url: backend.url,
    timeoutMs: 5_000,
    concurrency: 1,
    toleranceSeconds: 300,
  }, CLOCK);
  try {
    await gateway.deliver({
      sequence: 1,
      deviceId: "a.b_c",
      messageId: crypto.randomUUID(),
      timestamp: "1727712000",
      payload: new TextEncoder().encode("{}"),
      acceptedMs: 0,
    }, new AbortController().signal);
  } finally {
    gateway.close();
    await backend.stop();
  }
  const sent = [...backend.received[0]!.headers].filter(([name]) => !FIELDS_OF_HTTP.includes(name));
  assert.deepEqual(sent.map(([name]) => name).sort(), [...fields.keys()].sort());
  for (const [name, text] of sent) {
    const schema = fields.get(name)!;
    const isNumber = contract.follow(schema)["type"] as unknown === "integer";
    assert.deepEqual(contract.faults(schema, isNumber ? Number(text) : text), [], name);
  }
});
