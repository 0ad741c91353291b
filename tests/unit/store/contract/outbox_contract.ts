/** What the outbox as an operator sees it must do in every engine. */

import assert from "node:assert/strict";
import { all, type Contract } from "./contract.ts";
import { batch, candidate, messagesOf } from "./sample_batch.ts";

export const OUTBOX_CONTRACT: Contract = {
  "what waits is listed in its order, of all devices or of one": async (open) => {
    const store = await open();
    await messagesOf(store).commit(batch({ examined: ["a", "b", "a"].map((id) => candidate(id)) }));
    const devices = async (id?: string) =>
      (await all(store.outbox.list(id))).map(({ deviceId }) => deviceId);
    assert.deepEqual(await devices(), ["a", "b", "a"]);
    assert.deepEqual(await devices("a"), ["a", "a"]);
    assert.equal(await store.outbox.count(), 3);
  },

  "what is dropped is a dead letter, is in the audit, and the gateway is told once": async (
    open,
  ) => {
    const gateway = messagesOf(await open("gateway"));
    const { committed } = await gateway.commit(batch({ examined: [candidate("a")] }));
    const store = await open();
    const [{ sequence } = { sequence: 0 }] = await all(store.outbox.list());
    assert.equal(committed[0]!.kind, "accepted");
    assert.equal(await store.outbox.drop(sequence, 5), true);
    assert.equal(await store.outbox.drop(sequence, 5), false, "it is gone");
    const letter = await store.deadLetters.find(sequence);
    assert.match(letter!.reason, /outbox drop/);
    assert.equal((await all(store.audit.since(0))).at(-1)!.event, "outbox_dropped");
    const tidying = batch({ tidy: { heldSinceMs: undefined } });
    assert.deepEqual((await gateway.commit(tidying)).removed, [{ sequence, deviceId: "a" }]);
    assert.deepEqual((await gateway.commit(tidying)).removed, []);
  },
};
