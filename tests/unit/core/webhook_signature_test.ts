import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { Webhook } from "standardwebhooks";
import { COMMAND_STATES, type CommandState } from "../../../src/core/command_life.ts";
import { WebhookSigner } from "../../../src/core/webhook_signature.ts";

const KEYS = [1, 2].map((seed) => new Uint8Array(32).fill(seed));
const READING = {
  deviceId: "line.1",
  messageId: "550e8400-e29b-41d4-a716-446655440000",
  payload: new TextEncoder().encode('{"t":22.50,"é":"☕"}'),
};

Deno.test("a request is signed as Standard Webhooks says, under each key", async () => {
  const now = Math.floor(Date.now() / 1000);
  const headers = await new WebhookSigner(KEYS).headers(READING, now);
  assert.equal(headers["webhook-id"], `line%2E1:${READING.messageId}`);
  assert.equal(headers["webhook-timestamp"], String(now));
  const body = new TextDecoder().decode(READING.payload);
  const signed = `line%2E1:${READING.messageId}.${now}.${body}`;
  const expected = KEYS.map((key) =>
    `v1,${createHmac("sha256", key).update(signed).digest("base64")}`
  );
  assert.equal(headers["webhook-signature"], expected.join(" "));
  for (const key of KEYS) {
    const webhook = new Webhook(`whsec_${key.toBase64()}`);
    assert.deepEqual(webhook.verify(body, headers), JSON.parse(body));
    assert.throws(() => webhook.verify(body.replace("22.50", "22.5"), headers));
    assert.throws(() => webhook.verify(body, { ...headers, "webhook-id": "other" }));
  }
  assert.throws(() => new Webhook(new Uint8Array(32), { format: "raw" }).verify(body, headers));
});

Deno.test("a batch is signed under its key, as its webhook-id", async () => {
  const now = Math.floor(Date.now() / 1000);
  const body = '[{"device_id":"line.1"}]';
  const batch = { id: "1c8a", body: new TextEncoder().encode(body) };
  const headers = await new WebhookSigner([KEYS[0]!]).headersOf(batch, now);
  assert.equal(headers["webhook-id"], "1c8a");
  assert.deepEqual(new Webhook(`whsec_${KEYS[0]!.toBase64()}`).verify(body, headers), [
    { device_id: "line.1" },
  ]);
});

Deno.test("the webhook-id of a callback is its own in each state, and no reading's", async () => {
  const idOf = async (commandState?: CommandState) =>
    (await new WebhookSigner(KEYS).headers({ ...READING, commandState }, 1))["webhook-id"];
  const ids = await Promise.all([undefined, ...COMMAND_STATES].map(idOf));
  assert.equal(new Set(ids).size, 1 + COMMAND_STATES.length);
  assert.ok(ids.includes(`line%2E1:${READING.messageId}-done`));
  const isVerifiable = (id: string | undefined) => id !== undefined && !id.includes(".");
  assert.ok(ids.every(isVerifiable), "a dot would end the id in the signed text");
});
