import assert from "node:assert/strict";
import { Outage, QUIET_SECONDS } from "../../../src/core/outage.ts";
import type { Published } from "../../../src/core/ports.ts";
import { MARKER_TOPIC } from "../../../src/core/topic.ts";
import { CatchUp } from "../../../src/gateway/pipeline/catch_up.ts";

const TAKEN: Published = { kind: "acknowledged", subscribers: true };
const QUIET = { markers: [], late: false };

/** The way out of an outage that began at second 100; the broker answers with `published`. */
function catchUpWith(published: Published) {
  const markers: string[] = [];
  const events: string[] = [];
  const catchUp = new CatchUp({
    outage: new Outage("run", 100),
    broker: {
      publish: (topic, body) => {
        assert.equal(topic, MARKER_TOPIC);
        markers.push(new TextDecoder().decode(body));
        return Promise.resolve(published);
      },
    },
    emit: ({ kind }) => events.push(kind),
  });
  /** A batch; and then the broker's answer to the marker that it may have caused. */
  const take = async (batch: Parameters<CatchUp["taken"]>[0], nowMs = 0) => {
    catchUp.taken(batch, nowMs);
    await Promise.resolve();
  };
  return { catchUp, markers, events, take };
}

Deno.test("the marker is sent when the last cause ends, and its return ends the outage", async () => {
  const { catchUp, markers, events, take } = catchUpWith(TAKEN);
  catchUp.begin("store");
  catchUp.end("broker");
  assert.deepEqual(markers, []);
  catchUp.end("store");
  assert.equal(markers.length, 1);
  await take(QUIET);
  assert.deepEqual([markers.length, catchUp.outageSinceSeconds], [1, 100]);
  await take({ markers, late: false });
  assert.deepEqual([catchUp.isDone, catchUp.outageSinceSeconds], [true, undefined]);
  assert.deepEqual(events, ["caught_up"]);
  assert.equal(catchUp.touch(200), 200);
});

Deno.test("a marker that the broker does not take, or nobody gets, is sent again", async () => {
  const failures: Published[] = [
    { kind: "unsent", reason: "not connected" },
    { kind: "refused", reason: "Not authorized", reasonCode: 0x87 },
    { kind: "acknowledged", subscribers: false },
  ];
  for (const failure of failures) {
    const { catchUp, markers, take } = catchUpWith(failure);
    catchUp.end("broker");
    await Promise.resolve();
    await take(QUIET);
    assert.equal(markers.length, 2, failure.kind);
    assert.equal(markers[0], markers[1]);
  }
});

Deno.test("without its marker an outage ends after quiet, which late messages interrupt", async () => {
  const { catchUp, events, take } = catchUpWith(TAKEN);
  catchUp.end("broker");
  await take({ markers: [], late: true }, 30_000);
  await take(QUIET, QUIET_SECONDS * 1000);
  assert.ok(!catchUp.isDone);
  await take(QUIET, 30_000 + QUIET_SECONDS * 1000);
  await take(QUIET, 1e9);
  assert.deepEqual([catchUp.isDone, events], [true, ["catch_up_unconfirmed"]]);
});
