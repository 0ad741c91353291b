import assert from "node:assert/strict";
import type { Candidate } from "../../../src/core/admission.ts";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { CommitResult } from "../../../src/core/ports.ts";
import type { Committer } from "../../../src/gateway/pipeline/committer.ts";
import { StoreLostError, StoreReopenError } from "../../../src/store/store_error.ts";
import { poll } from "../../../src/time/poll.ts";
import { withPipelineStore } from "../../support/pipeline_store.ts";
import { DEVICE_ID } from "../../support/judge.ts";
import { candidate } from "../store/contract/sample_batch.ts";

const kindsOf = (events: readonly GatewayEvent[]) => events.map(({ kind }) => kind);

/** Commits messages; resolves to undefined if the committer gives them up. */
function commit(
  committer: Committer,
  examined: readonly Candidate[] = [candidate("a")],
): Promise<CommitResult | undefined> {
  return committer.commit({
    examine: () => Promise.resolve({ examined, registryRevision: undefined }),
    tidying: () => undefined,
    committed: () => {},
  });
}

/** Commits one message; resolves to its number. */
async function accepted(committer: Committer): Promise<number> {
  const [one] = (await commit(committer))!.committed;
  assert.ok(one?.kind === "accepted");
  return one.entry.sequence;
}

Deno.test("settlements wait for each other, and leave the outbox together", async () => {
  await withPipelineStore(async ({ committer, batches }) => {
    const sequences = [await accepted(committer), await accepted(committer)];
    assert.equal(committer.pending, 2);
    for (const sequence of sequences) committer.settle({ sequence, deadLetter: undefined });
    await poll("an empty outbox", () => committer.pending === 0);
    assert.deepEqual(batches.map(({ settlements }) => settlements.length), [0, 0, 2]);
    await committer.close();
  });
});

Deno.test("settlements go along with a batch of messages", async () => {
  await withPipelineStore(async ({ committer, batches }) => {
    const sequence = await accepted(committer);
    committer.settle({ sequence, deadLetter: undefined });
    await commit(committer);
    assert.deepEqual([committer.pending, batches.length], [1, 2]);
    await committer.close();
    assert.equal(batches.length, 2, "nothing is left to write");
  });
});

Deno.test("close() writes what is settled, and nothing is committed after it", async () => {
  await withPipelineStore(async ({ committer, batches }) => {
    const sequence = await accepted(committer);
    committer.settle({ sequence, deadLetter: undefined });
    await committer.close();
    assert.equal(committer.pending, 0);
    assert.equal(await commit(committer), undefined);
    assert.equal(batches.length, 2);
  });
});

Deno.test("a commit that fails is examined and tried again; the failure is said once", async () => {
  await withPipelineStore(async ({ committer, catchUp, events, faults }) => {
    catchUp.end("broker");
    faults.push(new Error("disk full"), new Error("disk full"));
    let examined = 0;
    const result = committer.commit({
      examine: () => {
        examined++;
        return Promise.resolve({ examined: [candidate("a")], registryRevision: undefined });
      },
      tidying: () => undefined,
      committed: () => {},
    });
    await poll("the failure", () => committer.fault === "disk full");
    assert.equal((await result)!.committed[0]?.kind, "accepted");
    assert.deepEqual(kindsOf(events), ["store_failed", "store_recovered"]);
    assert.deepEqual([examined, committer.fault], [3, undefined]);
    await committer.close();
  });
});

Deno.test("an entry that is settled while commits fail is settled once", async () => {
  await withPipelineStore(async ({ committer, batches, faults }) => {
    const sequence = await accepted(committer);
    faults.push(new Error("disk full"));
    committer.settle({ sequence, deadLetter: undefined });
    await poll("an empty outbox", () => committer.pending === 0);
    assert.deepEqual(batches.map(({ settlements }) => settlements.length), [0, 1, 1]);
    await committer.close();
  });
});

Deno.test("stopRetrying() gives up a commit that fails", async () => {
  await withPipelineStore(async ({ committer, faults }) => {
    faults.push(...Array(9).fill(new Error("disk full")));
    const result = commit(committer);
    await poll("the failure", () => committer.fault !== undefined);
    committer.stopRetrying();
    assert.equal(await result, undefined);
    faults.splice(0);
    await committer.close();
  });
});

Deno.test("a lost store ends the committer as soon as a sound one is in its place", async () => {
  await withPipelineStore(async ({ committer, events, faults }) => {
    faults.push(new StoreLostError("another file"));
    assert.equal(await commit(committer), undefined);
    await committer.replaced;
    assert.deepEqual(kindsOf(events), ["store_failed", "store_replaced"]);
    assert.equal(await commit(committer), undefined, "for good");
  });
});

Deno.test("a store that must be opened again is no failure", async () => {
  await withPipelineStore(async ({ committer, events, faults }) => {
    faults.push(new StoreReopenError("new sealing key"));
    assert.equal(await commit(committer), undefined);
    await committer.replaced;
    assert.deepEqual(events, [{ kind: "store_reopened", reason: "new sealing key" }]);
    assert.equal(committer.fault, undefined);
    await committer.close();
  });
});

Deno.test("a token that one batch has used is gone for the next", async () => {
  await withPipelineStore(async ({ committer }) => {
    const kinds = [];
    for (let i = 0; i < 3; i++) {
      const [one] = (await commit(committer))!.committed;
      kinds.push(one!.kind);
    }
    assert.deepEqual(kinds, ["accepted", "accepted", "rejected"]);
    await committer.close();
  }, { policy: { rate: { perSecond: 1, burst: 2 } } });
});

Deno.test("changes of commands are written at once, and together where they come in a row", async () => {
  await withPipelineStore(async ({ committer, batches }) => {
    const name = { deviceId: DEVICE_ID, messageId: crypto.randomUUID() };
    const forget = () => committer.change({ kind: "forget", name });
    await forget();
    assert.equal(batches.length, 1);
    const sinceMs = performance.now();
    const changes = [];
    for (let i = 0; i < 50; i++) {
      changes.push(forget());
      await new Promise((resolve) => setTimeout(resolve));
    }
    await Promise.all(changes);
    const most = 1 + (performance.now() - sinceMs) / 9;
    assert.ok(batches.length - 1 <= most, `${batches.length - 1} commits, at most ${most}`);
    await committer.close();
  });
});
