/** Server-Sent Events, however they are cut. */

import assert from "node:assert/strict";
import { readEvents } from "../../../src/client/event_stream.ts";

const STREAM = 'retry: 2000\n\nid: a-1\nevent: accepted\ndata: {"x":"é"}\n\n: nothing\n\n' +
  'event: omitted\ndata:{"count":3}\n\nid: a-2\nevent: rej';

function cut(size: number): ReadableStream<Uint8Array<ArrayBuffer>> {
  const bytes = new TextEncoder().encode(STREAM);
  const pieces = Array.from(
    { length: Math.ceil(bytes.length / size) },
    (_, at) => bytes.slice(at * size, (at + 1) * size),
  );
  return ReadableStream.from(pieces);
}

Deno.test("events are read whole, whatever the pieces; comments and half of one are none", async () => {
  for (const size of [1, 2, 7, 1000]) {
    const events = await Array.fromAsync(readEvents(cut(size)));
    assert.deepEqual(events, [
      { id: "a-1", kind: "accepted", data: '{"x":"é"}' },
      { id: undefined, kind: "omitted", data: '{"count":3}' },
    ]);
  }
});

Deno.test("an event without end is not kept", async () => {
  const endless = ReadableStream.from((function* () {
    while (true) yield new Uint8Array(65_536).fill(97);
  })());
  await assert.rejects(() => Array.fromAsync(readEvents(endless)), /event without end/);
});
