import assert from "node:assert/strict";
import { BACKEND_FAULTS } from "../faults/backend_faults.ts";
import { BATCHES } from "../faults/batches.ts";
import { isClean } from "../faults/checker.ts";
import { CLUSTER } from "../faults/cluster.ts";
import { COMMANDS } from "../faults/commands.ts";
import { EVERYTHING } from "../faults/everything.ts";
import { FLOOD } from "../faults/flood.ts";
import { KILLED_GATEWAY } from "../faults/killed_gateway.ts";
import { KITS } from "../faults/kits.ts";
import { LINK_FAULTS } from "../faults/link_faults.ts";
import { OVERLOADS, PILES } from "../faults/overload.ts";
import type { Scenario } from "../faults/scenario.ts";

const SEED = 1;

/** Runs short forms side by side, each on a site of its own: most of them do nothing but wait. */
async function assertClean(...scenarios: Scenario[]): Promise<void> {
  const runs = scenarios.map(async ({ name, run }) => {
    const findings = await run({ long: false, seed: SEED });
    assert.ok(isClean(findings), [name, findings.note, ...findings.violations].join("\n"));
    assert.ok(findings.received > 0, name);
  });
  const failures = (await Promise.allSettled(runs)).filter((run) => run.status === "rejected");
  if (failures.length > 0) throw new Error(failures.map(({ reason }) => reason.message).join("\n"));
}

Deno.test("a gateway that is killed at any moment loses, swaps, changes and repeats nothing", async () => {
  await assertClean(...KILLED_GATEWAY);
});

Deno.test("a gateway that is killed while it sends batches loses, swaps and changes nothing", async () => {
  await assertClean(BATCHES);
});

Deno.test("commands are executed once, and their states are true, whatever dies and when", async () => {
  await assertClean(COMMANDS);
});

Deno.test({
  name: "gateways on one store lose and repeat nothing, whichever of them or of its servers dies",
  ignore: CLUSTER.length === 0,
  fn: () => assertClean(...CLUSTER),
});

Deno.test({
  name: "each kit on a lossy line loses no reading and executes no command twice, whatever dies",
  ignore: KITS.length === 0,
  fn: () => assertClean(...KITS),
});

Deno.test("a bad broker, a bad backend, an overload and everything at once cost nothing", async () => {
  await assertClean(...LINK_FAULTS, BACKEND_FAULTS, ...OVERLOADS, ...PILES, EVERYTHING);
});

Deno.test("a device that floods costs the others nothing", async () => {
  await assertClean(FLOOD);
});
