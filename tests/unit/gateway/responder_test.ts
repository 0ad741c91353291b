import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import type { Published, PublishProperties } from "../../../src/core/ports.ts";
import { Responder } from "../../../src/gateway/pipeline/responder.ts";
import { importSecret } from "../../../src/core/signature.ts";
import { NOW, SECRET } from "../../support/judge.ts";
import { ENTRY } from "../../support/sample_entry.ts";

/** Answers with each of `results` in turn; the broker comes back as `connects` says. */
async function respond(results: Published[], connects: boolean) {
  const events: string[] = [];
  const published: PublishProperties[] = [];
  const broker = {
    publish: (_topic: string, _body: Uint8Array, properties: PublishProperties) => {
      published.push(properties);
      return Promise.resolve(results.shift()!);
    },
    nextConnect: () => Promise.resolve(connects),
  };
  const responder = new Responder({
    ...{ broker, keys: { key: () => importSecret(SECRET) }, clock: { wallMs: () => NOW * 1000 } },
    emit: ({ kind }) => events.push(kind),
  });
  const answer = {
    kind: "answer",
    status: 200,
    body: new TextEncoder().encode('{"ok":1.0}'),
    retryAfter: null,
    location: null,
    contentType: null,
  } as const;
  const done = await responder.respond(ENTRY, answer, new AbortController().signal);
  return { done, events, published };
}

Deno.test("an answer is published again after a reconnect, and stays undone if there is none", async () => {
  const gone: Published = { kind: "unsent", reason: "not connected" };
  const taken: Published = { kind: "acknowledged", subscribers: true };
  assert.partialDeepStrictEqual(await respond([gone, taken], true), { done: true, events: [] });
  assert.partialDeepStrictEqual(await respond([gone], false), { done: false, events: [] });
});

Deno.test("an answer that the broker refuses is said, and the entry is done", async () => {
  const refused: Published = { kind: "refused", reason: "Not authorized", reasonCode: 0x87 };
  const { done, events } = await respond([refused], true);
  assert.deepEqual([done, events], [true, ["response_refused"]]);
});

Deno.test("an answer is signed with its status, its id and the gateway's time", async () => {
  const taken: Published = { kind: "acknowledged", subscribers: true };
  const { published: [properties] } = await respond([taken], true);
  const text = `response:${ENTRY.deviceId}${NOW}${ENTRY.messageId}200{"ok":1.0}`;
  assert.deepEqual(properties?.userProperties, {
    ...{ message_id: ENTRY.messageId, status: "200", timestamp: String(NOW) },
    signature: createHmac("sha256", SECRET).update(text).digest("hex"),
  });
});
