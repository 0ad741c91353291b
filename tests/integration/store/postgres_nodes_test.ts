/** What only a store that several gateways share has to withstand. */

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import type { CommitResult, MessageStore } from "../../../src/core/ports.ts";
import { Connection } from "../../../src/store/postgres/connection.ts";
import { openStore } from "../../../src/store/open_store.ts";
import type { Store } from "../../../src/store/store.ts";
import type { PostgresPlace } from "../../../src/store/store_place.ts";
import { poll } from "../../../src/time/poll.ts";
import { NOW } from "../../support/judge.ts";
import { StoreLine } from "../../support/store_line.ts";
import {
  HAS_POSTGRES,
  type TemporaryPostgres,
  withPostgres,
} from "../../support/temporary_postgres.ts";
import { all } from "../../unit/store/contract/contract.ts";
import { batch, candidate, messagesOf } from "../../unit/store/contract/sample_batch.ts";

const ignore = !HAS_POSTGRES;

/** Opens stores in one new database. */
interface Site {
  readonly postgres: TemporaryPostgres;
  open(over?: Partial<PostgresPlace>): Promise<Store>;
  /** The messages of a node. */
  node(name: string, over?: Partial<PostgresPlace>): Promise<MessageStore>;
}

async function withSite(work: (site: Site) => Promise<void>): Promise<void> {
  await withPostgres(async (postgres) => {
    const place = await postgres.place();
    const opened: Store[] = [];
    const open = async (over: Partial<PostgresPlace> = {}) => {
      const store = await openStore({ ...place, ...over }, { author: "gateway", create: true });
      opened.push(store);
      return store;
    };
    const node = async (name: string, over = {}) => messagesOf(await open({ node: name, ...over }));
    try {
      await work({ postgres, open, node });
    } finally {
      for (const store of opened) await store.close();
    }
  });
}

function kindsOf({ committed }: CommitResult): string[] {
  return committed.map(({ kind }) => kind);
}

Deno.test({
  name: "an id that several nodes bring at the same moment is accepted once",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const nodes = await Promise.all(["a", "b", "c"].map((name) => node(name)));
      let accepted = 0;
      for (let round = 0; round < 20; round++) {
        const ids = Array.from({ length: 8 }, () => crypto.randomUUID());
        const examined = ids.map((messageId) => candidate("d", { messageId }));
        const orders = [examined, examined.toReversed(), examined];
        const results = await Promise.all(
          nodes.map((one, i) => one.commit(batch({ examined: orders[i]! }))),
        );
        const kinds = results.flatMap(kindsOf);
        accepted += kinds.filter((kind) => kind === "accepted").length;
        assert.equal(kinds.filter((kind) => kind === "rejected").length, 16);
      }
      assert.equal(accepted, 160);
      const { outbox } = await open();
      assert.equal(new Set((await all(outbox.list())).map((one) => one.messageId)).size, 160);
    }),
});

Deno.test({
  name: "a gateway as whose node another one works changes nothing any longer",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const first = await node("a");
      await first.commit(batch({ examined: [candidate("d")] }));
      const second = await node("a");
      const [waiting] = await all(second.backlog());
      assert.equal(waiting!.deviceId, "d");
      const settlements = [{ sequence: waiting!.sequence, deadLetter: undefined }];
      const late = batch({ examined: [candidate("e")], settlements });
      const error = await first.commit(late).then(() => undefined, (error: Error) => error);
      assert.ok(error && first.isLost(error), `${error}`);
      assert.equal(await first.canReopen(), true);
      await second.nodes!.renewLease({ leaseMs: 300, wallMs: Date.now() });
      assert.equal(await first.canReopen(), false, "the two would take it from each other");
      await poll("the other to be gone", () => first.canReopen());
      await second.nodes!.renewLease({ leaseMs: 60_000, wallMs: Date.now() });
      assert.equal(await second.canReopen(), true, "its own lease is no reason to wait");
      assert.equal(await (await open()).outbox.count(), 1);
      assert.deepEqual(kindsOf(await second.commit(late)), ["accepted"]);
      await open({ node: "a" }).then((store) => all(messagesOf(store).backlog()));
      assert.equal(await second.canReopen(), false, "who begins has not renewed it yet");
      const [listed] = await (await open()).nodes!.list();
      assert.ok(Math.abs(listed!.aheadMs!) < 1_000, "that says nothing of its clock");
    }),
});

Deno.test({
  name: "nothing is accepted under a registry that has changed since, on any node",
  ignore,
  fn: async () =>
    await withSite(async ({ open }) => {
      const store = await open({ node: "a" });
      const messages = messagesOf(store);
      const { registry } = await open({ node: "b" });
      await registry.addAll([{ deviceId: "d", sharedSecret: "s", createdAt: 1 }]);
      const seen = () => store.registry.revision({ isChecked: true });
      const registryRevision = await seen();
      const examined = [candidate("d")];
      await registry.revoke("d", { revokedAt: 2, reason: "lost" });
      assert.equal(await seen(), registryRevision, "without asking the server");
      const stale = batch({ examined, registryRevision });
      const error = await messages.commit(stale).then(() => undefined, (error: Error) => error);
      assert.ok(error && messages.isStale(error), `${error}`);
      assert.equal(await seen(), await registry.revision());
      const now = { examined, registryRevision: await seen() };
      assert.deepEqual(kindsOf(await messages.commit(batch(now))), ["accepted"]);
    }),
});

Deno.test({
  name: "a commit whose answer is lost is known in the end, and done once",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open, postgres }) => {
      const line = new StoreLine(postgres.server.port);
      try {
        const hosts = [{ host: "127.0.0.1", port: line.port }];
        const messages = await node("a", { hosts });
        await messages.commit(batch({ examined: [candidate("d")] }));
        for (let round = 1; round <= 10; round++) {
          line.eats = true;
          const { committed, pending } = await messages.commit(
            batch({ examined: [candidate("d"), candidate("e")] }),
          );
          assert.equal(line.eaten, round);
          const numbers = committed.map((one) => one.kind === "accepted" ? one.entry.sequence : 0);
          assert.equal((await messages.read(numbers)).length, 2, "each has its number");
          assert.equal(pending, 1 + 2 * round);
        }
        assert.equal(await (await open()).outbox.count(), 21);
      } finally {
        await line.close();
      }
    }),
});

Deno.test({
  name:
    "a server that dies while it commits makes a commit wait, and nothing is lost or done twice",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open, postgres: { server } }) => {
      const messages = await node("a");
      await messages.commit(batch({ examined: [candidate("d")] }));
      let committed = 1;
      for (let round = 0; round < 3; round++) {
        const work = (async () => {
          for (let i = 0; i < 40; i++) {
            const examined = [candidate("d")];
            // what is not known to be there is tried again, as the gateway does
            const result = await poll("the commit", () =>
              messages.commit(batch({ examined })).catch(() => undefined), { timeoutMs: 30_000 });
            committed += result.committed.length;
            assert.deepEqual(kindsOf(result), ["accepted"]);
          }
        })();
        await pause(20);
        await server.kill();
        await server.start();
        await work;
      }
      assert.equal(committed, 121);
      assert.equal(await (await open()).outbox.count(), committed);
    }),
});

Deno.test({
  name: "each node has its own entries, and forgets ids only when no node needs them",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const [a, b] = [await node("a"), await node("b")];
      await a.commit(batch({ examined: [candidate("d")] }));
      await b.commit(batch({ examined: [candidate("e")] }));
      const devices = async (messages: MessageStore) =>
        (await all(messages.backlog())).map(({ deviceId }) => deviceId);
      assert.deepEqual([await devices(a), await devices(b)], [["d"], ["e"]]);
      const policy = { toleranceSeconds: 300, graceSeconds: 86_400, rate: undefined };
      const tidyAt = (seconds: number) =>
        batch({ wallMs: 1000 * (NOW + seconds), tidy: { heldSinceMs: undefined }, policy });
      const forgotten = async () => await (await open()).replayIds.forgottenSeconds();
      await b.commit(tidyAt(0)); // whose clock is two hours behind from now on
      await a.commit(tidyAt(7_200));
      assert.equal(await forgotten(), 0);
      await b.commit(tidyAt(7_200));
      await a.commit(tidyAt(7_200));
      assert.equal(await forgotten(), NOW);
    }),
});

Deno.test({
  name: "ids are not kept for a node that was away for longer than it may catch up",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const [a, b] = [await node("a"), await node("b")];
      const policy = { toleranceSeconds: 300, graceSeconds: 7_200, rate: undefined };
      const tidyAt = (seconds: number) =>
        batch({ wallMs: 1000 * (NOW + seconds), tidy: { heldSinceMs: undefined }, policy });
      await a.commit(batch({ examined: [candidate("d")] }));
      await b.commit(tidyAt(0)); // and never again
      const forgotten = async () => await (await open()).replayIds.forgottenSeconds();
      for (let i = 0; i < 3; i++) await a.commit(tidyAt(7_200));
      assert.equal(await forgotten(), 0);
      for (let i = 0; i < 3; i++) await a.commit(tidyAt(7_200 + 1_800));
      assert.equal(await forgotten(), NOW);
      assert.deepEqual(kindsOf(await b.commit(batch({ examined: [candidate("e")] }))), [
        "rejected",
      ]);
    }),
});

Deno.test({
  name: "one node's clock, years ahead, makes no id forgotten that others need",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const [a, b] = [await node("a"), await node("b")];
      const nowMs = Date.now();
      const policy = { toleranceSeconds: 300, graceSeconds: 0, rate: undefined };
      const at = (wallMs: number) => batch({ wallMs, tidy: { heldSinceMs: undefined }, policy });
      const timestamp = Math.floor(nowMs / 1000);
      const examined = [{ ...candidate("d", { timestamp }), arrivedMs: nowMs }];
      assert.deepEqual(kindsOf(await a.commit({ ...at(nowMs), examined })), ["accepted"]);
      for (let i = 0; i < 3; i++) await b.commit(at(nowMs + 3e11));
      assert.equal(await (await open()).replayIds.forgottenSeconds(), 0);
      const [again] = (await a.commit({ ...at(nowMs), examined })).committed;
      assert.equal(again?.kind, "rejected");
      assert.equal(again.kind === "rejected" && again.rejection.code, "replayed");
    }),
});

const LEASE = { leaseMs: 2_000, wallMs: NOW * 1000 };

Deno.test({
  name: "what a dead node left is sent by another, in order, and the dead one is fenced",
  ignore,
  fn: async () =>
    await withSite(async ({ node, open }) => {
      const [a, b] = [await node("a"), await node("b")];
      await a.nodes!.renewLease(LEASE);
      await b.nodes!.renewLease(LEASE);
      const first = await a.commit(batch({ examined: [candidate("d"), candidate("e")] }));
      const moved = await b.commit(batch({ examined: [candidate("d"), candidate("f")] }));
      const older = new Map([["d", sequencesOf(first)[0]!]]);
      assert.deepEqual(moved.behind, older, "a has an older one of d");
      const held = ["d"];
      assert.deepEqual((await b.commit(batch({ held }))).behind, older);
      assert.equal(await b.nodes!.adopt("a"), undefined, "its lease is not over");
      await poll("the lease to be over", async () => {
        const { nodes: [seen] } = await b.nodes!.renewLease(LEASE);
        return seen!.node === "a" && seen!.leftMs < 0 && seen!.hasWork;
      });
      assert.deepEqual(await b.nodes!.adopt("a"), { entries: 2, commandDevices: [] });
      const adopted = await b.commit(batch({ held }));
      assert.deepEqual(adopted.requeued.map(({ sequence }) => sequence), sequencesOf(first));
      assert.equal(adopted.behind.size, 0, "they are its own now");
      const error = await a.commit(batch({ examined: [candidate("d")] }))
        .then(() => undefined, (error: Error) => error);
      assert.ok(error && a.isLost(error), `${error}`);
      assert.equal(await (await open()).outbox.count(), 4);
    }),
});

Deno.test({
  name: "what is taken over while a commit is under way goes before what that commit brings",
  ignore,
  fn: async () =>
    await withSite(async ({ node, postgres }) => {
      const [a, b] = [await node("a"), await node("b")];
      const older = await a.commit(batch({ examined: [candidate("d")] }));
      await b.commit(batch({ examined: [] }));
      const place = { ...await postgres.place(), database: "store_1" };
      const bystander = new Connection(place, { purpose: "bystander", author: "command" });
      const waiting = async () =>
        Number(
          await postgres.server.sql(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
          ),
        );
      try {
        const { committing, adopting } = await bystander.transaction(async (query) => {
          await query("LOCK TABLE presence IN SHARE MODE");
          // It has taken what others have handed to it, and not yet looked for what they have.
          const committing = b.commit(batch({ examined: [candidate("d")] }));
          await poll("the commit to wait", async () => await waiting() === 1);
          let isAdopted = false;
          const adopting = b.nodes!.adopt("a").finally(() => isAdopted = true);
          await poll("the end of it", async () => isAdopted || await waiting() === 2);
          return { committing, adopting };
        });
        const { behind } = await committing;
        assert.equal((await adopting)!.entries, 1);
        assert.deepEqual(behind, new Map([["d", sequencesOf(older)[0]!]]));
        const adopted = await b.commit(batch({ held: ["d"] }));
        assert.deepEqual(adopted.requeued.map(({ sequence }) => sequence), sequencesOf(older));
        assert.equal(adopted.behind.size, 0);
      } finally {
        await bystander.close();
      }
    }),
});

Deno.test({
  name: "what is taken over waits for what a third node has",
  ignore,
  fn: async () =>
    await withSite(async ({ node }) => {
      const [a, b, c] = [await node("a"), await node("b"), await node("c")];
      const oldest = await c.commit(batch({ examined: [candidate("d")] }));
      await a.commit(batch({ examined: [candidate("d")] }));
      await b.nodes!.adopt("a");
      const { requeued, behind } = await b.commit(batch({}));
      assert.equal(requeued.length, 1);
      assert.deepEqual(behind, new Map([["d", sequencesOf(oldest)[0]!]]));
    }),
});

Deno.test({
  name: "a node that starts again knows which of its entries wait for another's",
  ignore,
  fn: async () =>
    await withSite(async ({ node }) => {
      const [a, b] = [await node("a"), await node("b")];
      await a.commit(batch({ examined: [candidate("d")] }));
      await b.commit(batch({ examined: [candidate("e"), candidate("d")] }));
      const again = await node("b");
      const backlog = await all(again.backlog());
      assert.deepEqual(backlog.map((one) => [one.deviceId, one.isBehind ?? false]), [
        ["e", false],
        ["d", true],
      ]);
    }),
});

function sequencesOf({ committed }: CommitResult): number[] {
  return committed.flatMap((one) => one.kind === "accepted" ? one.entry.sequence : []);
}
