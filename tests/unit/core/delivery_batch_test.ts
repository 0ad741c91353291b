import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import type { Outcome } from "../../../src/core/delivery.ts";
import {
  batchBody,
  batchKey,
  itemBytes,
  itemKey,
  settledCount,
} from "../../../src/core/delivery_batch.ts";
import { RETRY_STATUSES, statusesOf } from "../../../src/core/retry_statuses.ts";
import { traceparentOf } from "../../../src/core/traceparent.ts";
import { ENTRY } from "../../support/sample_entry.ts";

const NOW = 1_727_712_000;
const CLOCK = { nowSeconds: NOW, toleranceSeconds: 300 };

function entry(deviceId: string, payload: string, timestamp = NOW) {
  const bytes = new TextEncoder().encode(payload);
  return { ...ENTRY, deviceId, timestamp: String(timestamp), payload: bytes };
}

function textOf(...entries: ReturnType<typeof entry>[]): string {
  return new TextDecoder().decode(batchBody(entries, CLOCK));
}

const status = (status: number): Outcome => ({
  ...{ kind: "answer", status, body: undefined },
  ...{ retryAfter: null, location: null, contentType: null },
});

Deno.test("a batch is a JSON array in which each payload stands byte for byte", () => {
  const payload = '{"t":22.50,"n":1E2,"big":12345678901234567890,"é":"\\u00e9"}';
  const text = textOf(entry("a", payload), entry("b.2", "7"));
  assert.equal(
    text,
    `[{"device_id":"a","message_id":"${ENTRY.messageId}","timestamp":${NOW},"payload":${payload}},` +
      `{"device_id":"b.2","message_id":"${ENTRY.messageId}","timestamp":${NOW},"payload":7}]`,
  );
  assert.equal(JSON.parse(text).length, 2);
});

Deno.test("late_seconds stands in an item that is older than a live one can be", () => {
  const items = JSON.parse(textOf(entry("a", "1", NOW - 300), entry("a", "2", NOW - 301)));
  assert.deepEqual(items.map((item: Record<string, unknown>) => item["late_seconds"]), [
    undefined,
    301,
  ]);
});

Deno.test("traceparent stands in each item, if there is one", () => {
  const traceparent = ({ deviceId }: { deviceId: string }) => `00-${deviceId}`;
  const body = batchBody([entry("a", "1"), entry("b", "2")], { ...CLOCK, traceparent });
  const items = JSON.parse(new TextDecoder().decode(body));
  assert.deepEqual(items.map((item: Record<string, unknown>) => item["traceparent"]), [
    "00-a",
    "00-b",
  ]);
});

Deno.test("an item never takes more bytes than are counted for it", () => {
  const longest = entry("d".repeat(64), "1", 1_000_000_000);
  const traceparent = () => traceparentOf(ENTRY.messageId, new Uint8Array(8));
  const body = batchBody([longest, longest], { ...CLOCK, traceparent });
  assert.ok(body.length <= 2 * itemBytes(longest));
});

Deno.test("a batch's key is the SHA-256 of its message ids, joined by line feeds", async () => {
  const ids = [crypto.randomUUID(), crypto.randomUUID()];
  const key = await batchKey(ids.map((messageId) => ({ ...ENTRY, messageId })));
  assert.equal(key, createHash("sha256").update(ids.join("\n")).digest("hex"));
});

Deno.test("ids that differ only in case are one item", () => {
  assert.equal(itemKey({ messageId: "AB" }), itemKey({ messageId: "ab" }));
});

Deno.test("of one device only what stands before its first again is settled", () => {
  const count = (...outcomes: Outcome[]) => settledCount(outcomes, statusesOf(RETRY_STATUSES));
  const unnamed: Outcome = { kind: "no_answer", reason: "not named" };
  assert.equal(count(status(200), status(422), status(204)), 3);
  assert.equal(count(status(200), status(503), status(200), status(422)), 1);
  assert.equal(count(unnamed, status(200)), 0);
  assert.equal(count(status(422), unnamed), 1);
  assert.equal(count(status(999)), 0);
});
