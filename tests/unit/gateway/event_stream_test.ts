/** `GET /ui/api/events`, read as its client does. */

import assert from "node:assert/strict";
import { streamEvents } from "../../../src/gateway/api/event_stream.ts";
import type { ApiKey } from "../../../src/store/api_keys.ts";

const KEY: ApiKey = {
  ...{ name: "backend", createdAt: 1, role: "commands" as const, deviceIds: undefined },
  digest: new Uint8Array(32),
};

Deno.test("a stream ends, and does not break, with the store that knows its key", async () => {
  let isClosed = false;
  const { body } = streamEvents({
    key: KEY,
    keyStands: () => isClosed ? Promise.reject(new Error("closed")) : Promise.resolve(true),
    request: new Request("https://gateway.example/ui/api/events"),
    stop: new AbortController().signal,
  }, {
    follow: () => ({
      next: () => Promise.resolve({ items: [], omitted: new Map([["accepted" as const, 1]]) }),
      isOver: false,
      end: () => {},
    }),
  });
  const reader = body!.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /^retry: /);
  isClosed = true;
  assert.deepEqual(await reader.read(), { done: true, value: undefined });
});
