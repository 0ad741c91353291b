import assert from "node:assert/strict";
import type { Published } from "../../../src/core/ports.ts";
import { Responder } from "../../../src/gateway/pipeline/responder.ts";
import { ENTRY } from "../../support/sample_entry.ts";

/** Answers with each of `results` in turn; the broker comes back as `connects` says. */
async function respond(results: Published[], connects: boolean) {
  const events: string[] = [];
  const broker = {
    publish: () => Promise.resolve(results.shift()!),
    nextConnect: () => Promise.resolve(connects),
  };
  const responder = new Responder(broker, ({ kind }) => events.push(kind));
  const answer = {
    kind: "answer",
    status: 200,
    body: undefined,
    retryAfter: null,
    location: null,
    contentType: null,
  } as const;
  return [await responder.respond(ENTRY, answer, new AbortController().signal), events];
}

Deno.test("an answer is published again after a reconnect, and stays undone if there is none", async () => {
  const gone: Published = { kind: "unsent", reason: "not connected" };
  const taken: Published = { kind: "acknowledged", subscribers: true };
  assert.deepEqual(await respond([gone, taken], true), [true, []]);
  assert.deepEqual(await respond([gone], false), [false, []]);
});

Deno.test("an answer that the broker refuses is said, and the entry is done", async () => {
  const refused: Published = { kind: "refused", reason: "Not authorized" };
  assert.deepEqual(await respond([refused], true), [true, ["response_refused"]]);
});
