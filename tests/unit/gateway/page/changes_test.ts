/** What a key that operates changes: in the store, in the audit, and nothing else. */

import assert from "node:assert/strict";
import { withPageApi } from "../../../support/page_api.ts";
import { all } from "../../store/contract/contract.ts";
import { batch, candidate, deadLetter, messagesOf } from "../../store/contract/sample_batch.ts";

Deno.test("a dead letter is retried or dropped, once, and it is told who did it", async () => {
  await withPageApi(["a", "b"], async (api) => {
    const key = await api.addKey("bob", "operate");
    const messages = messagesOf(api.store);
    await messages.commit(batch({ tidy: { heldSinceMs: undefined } }));
    const sequences: number[] = [];
    for (const id of ["a", "a", "b", "b"]) sequences.push(await deadLetter(messages, id));
    const [first, second] = sequences;
    const post = { method: "POST", key, body: {} };
    assert.deepEqual(await api.json(`/ui/api/dead/${first}/retry`, post), { requeued: 1 });
    const again = await api.ask(`/ui/api/dead/${first}/retry`, post);
    assert.match((await again.json()).type, /:unknown-dead-letter$/);
    const { requeued } = await messages.commit(batch({ tidy: { heldSinceMs: undefined } }));
    assert.deepEqual(requeued.map(({ deviceId }) => deviceId), ["a"], "the gateway hears of it");
    assert.deepEqual(await api.json(`/ui/api/dead/${second}/drop`, post), { dropped: 1 });
    const ofOne = await api.json("/ui/api/dead/retry", { ...post, body: { device: "b" } });
    assert.deepEqual(ofOne, { requeued: 2, more: false });
    assert.equal(await api.store.deadLetters.count(), 0);
    const told = api.events.filter((event) => event.kind === "operator_acted");
    assert.deepEqual(
      told.map(({ keyName, action, deviceId, count }) => [keyName, action, deviceId, count]),
      [
        ["bob", "dead letters retried", "a", 1],
        ["bob", "dead letters dropped", "a", 1],
        ["bob", "dead letters retried", "b", 2],
      ],
    );
  });
});

Deno.test("an entry of the outbox becomes a dead letter, and the gateway is told", async () => {
  await withPageApi(["a"], async (api) => {
    const key = await api.addKey("bob", "operate");
    const messages = messagesOf(api.store);
    const { committed: [one] } = await messages.commit(batch({ examined: [candidate("a")] }));
    assert.ok(one?.kind === "accepted");
    const { sequence } = one.entry;
    const post = { method: "POST", key, body: {} };
    const path = `/ui/api/outbox/${sequence}/drop`;
    assert.deepEqual(await api.json(path, post), { dead_letter: sequence });
    assert.match((await (await api.ask(path, post)).json()).type, /:unknown-entry$/);
    const { removed } = await messages.commit(batch({ tidy: { heldSinceMs: undefined } }));
    assert.deepEqual(removed, [{ sequence, deviceId: "a" }]);
    assert.ok(await api.store.deadLetters.find(sequence));
    const entries = await all(api.store.audit.since(0));
    assert.ok(entries.some(({ event }) => event === "outbox_dropped"));
  });
});

Deno.test("a change that is not understood changes nothing", async () => {
  await withPageApi(["a"], async (api) => {
    const key = await api.addKey("bob", "operate");
    const sequence = await deadLetter(messagesOf(api.store), "a");
    const rows: readonly [string, unknown, number][] = [
      ["dead/drop", {}, 400],
      ["dead/drop", { all: false }, 400],
      ["dead/drop", { all: true, device: "a" }, 400],
      ["dead/drop", { device: ["a"] }, 400],
      ["dead/drop", { device: "a/b" }, 400],
      ["dead/drop", { all: true, more: 1 }, 400],
      ["dead/drop", "[]", 400],
      ["dead/drop", "", 400],
      [`dead/${sequence}/drop`, { all: true }, 400],
      [`dead/${sequence}/drop`, { x: "y".repeat(5_000) }, 413],
      [`dead/${sequence}/explode`, {}, 404],
      ["dead/1e3/drop", {}, 404],
      ["outbox/0/drop", {}, 404],
    ];
    for (const [path, body, status] of rows) {
      const response = await api.ask(`/ui/api/${path}`, { key, method: "POST", body });
      assert.equal(response.status, status, `${path} ${JSON.stringify(body)}`);
      await response.body?.cancel();
    }
    for (const method of ["PUT", "PATCH", "DELETE", "GET"]) {
      const response = await api.ask("/ui/api/dead/drop", { key, method });
      assert.equal(response.status, 405, method);
      assert.equal(response.headers.get("allow"), "POST");
    }
    assert.equal(await api.store.deadLetters.count(), 1);
    assert.deepEqual(api.events, []);
  });
});
