/** With `backend.traceparent`, each message is a trace of its own at the backend. */

import assert from "node:assert/strict";
import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";
import { poll } from "../../src/time/poll.ts";
import { answerItems, itemsOf } from "../support/batch_backend.ts";
import { ask } from "../support/command_states.ts";
import { type LiveSite, withLiveSite } from "../support/live_site.ts";

const DEVICE_ID = "sensor_001";
const CALLBACK = "/told/{device_id}/{message_id}";
const FIELD = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/;

const traceIdOf = (messageId: string) => messageId.replaceAll("-", "").toLowerCase();

/** Trace id and parent id. */
function traceOf(text: unknown): readonly [string, string] {
  const found = FIELD.exec(String(text));
  assert.ok(found, String(text));
  return [found[1]!, found[2]!];
}

const fieldOf = ({ headers }: Pick<Reading, "headers">) => headers.get("traceparent");

/** A backend that says 503 to the first try. */
function refuseOnce(site: LiveSite): void {
  const { answer } = site.backend;
  site.backend.answer = () => {
    site.backend.answer = answer;
    return new Response("not now", { status: 503 });
  };
}

Deno.test("every try of a reading has its message_id as trace id, and a parent id of its own", async () => {
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    refuseOnce(site);
    const { messageId } = await device.send("1");
    await device.response(messageId);
    const tries = site.backend.received.map((one) => traceOf(fieldOf(one)));
    assert.equal(tries.length, 2);
    assert.deepEqual(tries.map(([traceId]) => traceId), Array(2).fill(traceIdOf(messageId)));
    assert.notEqual(tries[0]![1], tries[1]![1]);
  }, { settings: { BACKEND_TRACEPARENT: "true" } });
});

Deno.test("all callbacks of a command are in the trace of the command's message_id", async () => {
  const settings = { BACKEND_TRACEPARENT: "true", COMMANDS_CALLBACK: CALLBACK };
  await withLiveSite(async (site) => {
    const device = await site.device(DEVICE_ID);
    const messageId = await ask(site, DEVICE_ID);
    await device.command();
    await device.acknowledge(messageId, { state: "done" });
    const states = () => site.backend.received.map(({ text }) => JSON.parse(text).state);
    await poll("the last callback", () => states().includes("done"));
    const traces = site.backend.received.map((one) => traceOf(fieldOf(one))[0]);
    assert.ok(traces.length > 1);
    assert.deepEqual(new Set(traces), new Set([traceIdOf(messageId)]));
  }, { settings });
});

Deno.test("in a batch each item has its own, and the batch has none", async () => {
  const settings = { BACKEND_TRACEPARENT: "true", BACKEND_BATCH_MAX: "100" };
  await withLiveSite(async (site) => {
    site.backend.answer = (reading) => answerItems(reading, () => ({ status: 200 }));
    const device = await site.device(DEVICE_ID);
    const sent = [];
    for (const payload of ["1", "2", "3"]) sent.push((await device.send(payload)).messageId);
    for (const messageId of sent) await device.response(messageId);
    const { received } = site.backend;
    assert.deepEqual(received.map(fieldOf), received.map(() => null));
    const items = received.flatMap(itemsOf);
    assert.deepEqual(items.map(({ traceparent }) => traceOf(traceparent)[0]), sent.map(traceIdOf));
  }, { settings });
});

Deno.test("without the setting there is none, neither of a POST nor of an item", async () => {
  for (const batchMax of ["1", "100"]) {
    await withLiveSite(async (site) => {
      const device = await site.device(DEVICE_ID);
      await device.response((await device.send("1")).messageId);
      const [reading] = site.backend.received;
      assert.equal(fieldOf(reading!), null);
      assert.doesNotMatch(reading!.text, /traceparent/);
    }, { settings: { BACKEND_BATCH_MAX: batchMax } });
  }
});
