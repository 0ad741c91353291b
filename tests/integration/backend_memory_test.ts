import assert from "node:assert/strict";
import type { OutboxEntry } from "../../src/core/outbox_entry.ts";
import { HttpBackend } from "../../src/gateway/backend/http_backend.ts";
import { SYSTEM_CLOCK } from "../../src/time/clock.ts";
import { PLAIN_BACKEND } from "../support/plain_backend.ts";
import { type RawAnswer, RawBackend } from "../support/raw_backend.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 10_000;
const AT_ONCE = 4;
const GROWTH_MAX_BYTES = 32 * MIB;

const ENTRY: OutboxEntry = {
  sequence: 1,
  deviceId: "sensor_001",
  messageId: crypto.randomUUID(),
  timestamp: "1",
  payload: new Uint8Array([0x31]),
  acceptedMs: 0,
};

/** Honest answers in the smallest portions. */
const ANSWERS: Readonly<Record<string, RawAnswer>> = {
  "in chunks of one byte": async (it) => {
    await it.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    await it.write("1\r\nx\r\n".repeat(BODY_BYTES) + "0\r\n\r\n");
  },
  "with its length, a byte at a time": async (it) => {
    await it.write(`HTTP/1.1 200 OK\r\nContent-Length: ${BODY_BYTES}\r\n\r\n`);
    await it.repeat("x", BODY_BYTES);
  },
};

for (const [what, answer] of Object.entries(ANSWERS)) {
  Deno.test(`an answer ${what} costs its bytes, and arrives whole`, async () => {
    const raw = RawBackend.start({ answer });
    const address = { ...PLAIN_BACKEND, url: raw.url, timeoutMs: 60_000, concurrency: AT_ONCE };
    const backend = new HttpBackend({ ...address, toleranceSeconds: 300 }, SYSTEM_CLOCK);
    const stop = new AbortController().signal;
    const deliver = async () => {
      const outcome = await backend.deliver(ENTRY, stop);
      assert.equal(outcome.kind === "answer" && outcome.body?.length, BODY_BYTES);
    };
    try {
      await deliver(); // warms up
      const before = Deno.memoryUsage().rss;
      await Promise.all(Array.from({ length: AT_ONCE }, deliver));
      assert.ok(Deno.memoryUsage().rss - before < GROWTH_MAX_BYTES);
    } finally {
      backend.close();
      await raw.stop();
    }
  });
}
