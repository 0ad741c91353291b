/** Who may judge whom; the store is what the tests say, since its clock is. */

import assert from "node:assert/strict";
import type { GatewayEvent } from "../../../src/core/event.ts";
import type { NodeStore, SeenNode } from "../../../src/core/ports.ts";
import { Membership } from "../../../src/gateway/cluster/membership.ts";
import { poll } from "../../../src/time/poll.ts";

const LEASE_MS = 100;

/** A membership whose store answers what `store` says; undefined: not at all. */
async function withMembership(
  store: { nodes: SeenNode[]; aheadMs: number } & { isAway: boolean },
  work: (run: {
    membership: Membership;
    events: GatewayEvent[];
    adopted: string[];
    isPaused(): boolean;
  }) => Promise<void>,
): Promise<void> {
  const events: GatewayEvent[] = [];
  const adopted: string[] = [];
  let endsMs = Infinity;
  const nodes: Pick<NodeStore, "renewLease" | "adopt"> = {
    renewLease: () => store.isAway ? Promise.reject(new Error("away")) : Promise.resolve(store),
    adopt: (node) => {
      adopted.push(node);
      store.nodes = store.nodes.filter((one) => one.node !== node);
      return Promise.resolve({ entries: 3, commandDevices: [] });
    },
  };
  const membership = new Membership({
    nodes,
    holds: { sendUntil: (ms) => endsMs = ms },
    commands: { add: () => {} },
    presence: { seen: () => {} },
    clock: { wallMs: () => 0, monotonicMs: () => performance.now() },
    emit: (event) => events.push(event),
  }, { leaseMs: LEASE_MS, toleranceSeconds: 300 });
  try {
    await membership.start();
    await work({ membership, events, adopted, isPaused: () => performance.now() >= endsMs });
  } finally {
    await membership.close();
  }
}

const GONE: SeenNode = { node: "gone", leftMs: -1, hasWork: true };
const kindsOf = (events: readonly GatewayEvent[]) => events.map(({ kind }) => kind);

Deno.test("a node whose lease is over is adopted, but not by one that has just come", async () => {
  const idle = { node: "idle", leftMs: -1, hasWork: false };
  const alive = { node: "alive", leftMs: 50, hasWork: true };
  const store = { nodes: [GONE, idle, alive], aheadMs: 0, isAway: false };
  const beganMs = performance.now();
  await withMembership(store, async ({ adopted, events }) => {
    await poll("the adoption", () => adopted.length > 0);
    assert.ok(performance.now() - beganMs >= LEASE_MS);
    assert.deepEqual(adopted, ["gone"]);
    await poll("the event", () => kindsOf(events).includes("node_adopted"));
  });
});

Deno.test("without the store nothing is sent, and afterwards nobody is judged at once", async () => {
  const store = { nodes: [] as SeenNode[], aheadMs: 0, isAway: false };
  await withMembership(store, async ({ membership, adopted, events, isPaused }) => {
    assert.equal(isPaused(), false);
    store.isAway = true;
    await poll("the lapse", () => isPaused());
    await poll("the event", () => events.length > 0);
    assert.deepEqual(events, [{ kind: "lease_lapsed", reason: "away" }]);
    const fault = await poll("it not to be ready", () => membership.fault);
    assert.equal(fault, "the lease is over: away");
    await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
    store.nodes = [GONE];
    store.isAway = false;
    await poll("the lease", () => !isPaused());
    assert.equal(membership.fault, undefined);
    assert.deepEqual(adopted, [], "it was away itself");
    await poll("the adoption", () => adopted.length > 0);
  });
});

Deno.test("a clock that is not the store's is said, and too far off nothing is taken", async () => {
  const store = { nodes: [] as SeenNode[], aheadMs: 3_000, isAway: false };
  await withMembership(store, async ({ membership, events }) => {
    assert.deepEqual(kindsOf(events), ["store_clock_differs"]);
    assert.equal(membership.fault, undefined);
    store.aheadMs = -200_000;
    const fault = await poll("the fault", () => membership.fault);
    assert.equal(fault, "this machine's clock is 200 s behind the store's");
  });
});
