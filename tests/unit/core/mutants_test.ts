import assert from "node:assert/strict";
import { CHANGES_OF_BYTES } from "../../faults/byte_changes.ts";
import { CHANGES_OF_FIELDS, CHANGES_OF_TEXT, CHANGES_OF_TOPIC } from "../../faults/changes.ts";
import {
  examine,
  makeMutants,
  type Mutant,
  runMutants,
  signedSaying,
} from "../../faults/mutants.ts";
import { DEVICE_ID, message, MESSAGE_ID, NOW } from "../../support/judge.ts";

const COUNT = 100_000;
const SEED = 1;

Deno.test(`of ${COUNT} mutated messages none is accepted, and none throws`, async () => {
  const { judged, accepted, thrown, repeated, outcomes, faults } = await runMutants(COUNT, SEED);
  assert.deepEqual(faults, []);
  assert.deepEqual({ judged, accepted, thrown }, { judged: COUNT, accepted: 0, thrown: 0 });
  const refused = Object.values(outcomes).reduce((sum, count) => sum + count, 0);
  assert.equal(refused + repeated, COUNT);
  // They are worth something only where many come as far as each check.
  for (const code of ["identity_mismatch", "unknown_device", "timestamp_out_of_range"]) {
    assert.ok(outcomes[code]! > COUNT / 200, `${code}: ${outcomes[code]}`);
  }
  assert.ok(
    outcomes["invalid_signature"]! > COUNT / 5,
    `signatures: ${outcomes["invalid_signature"]}`,
  );
});

Deno.test("the same seed makes the same mutants, another seed makes others", async () => {
  const [one, same, other] = await Promise.all([
    makeMutants(500, SEED),
    makeMutants(500, SEED),
    makeMutants(500, SEED + 1),
  ]);
  assert.deepEqual(one, same);
  assert.notDeepEqual(one, other);
});

Deno.test("every kind of change is made", async () => {
  const made = new Set((await makeMutants(5_000, SEED)).flatMap(({ changes }) => changes));
  for (const kinds of [CHANGES_OF_FIELDS, CHANGES_OF_TEXT, CHANGES_OF_BYTES, CHANGES_OF_TOPIC]) {
    for (const kind of Object.keys(kinds)) assert.ok(made.has(kind), kind);
  }
});

Deno.test("a mutant that gets past the signature without having been signed is found out", async () => {
  const text = await message("1", { timestamp: String(NOW) });
  const mutant: Mutant = {
    bytes: new TextEncoder().encode(text),
    topic: "device/sensor_001/data",
    changes: [],
  };
  assert.equal(await examine(mutant, new Set()), "forged");
  const names = { deviceId: DEVICE_ID, timestamp: String(NOW), messageId: MESSAGE_ID };
  const signed = new Set([signedSaying(names, new TextEncoder().encode("1"))]);
  assert.equal(await examine(mutant, signed), "repeated");
  const stale = await message("1", { timestamp: String(NOW - 9_999) });
  const late = { ...mutant, bytes: new TextEncoder().encode(stale) };
  assert.equal(await examine(late, signed), "forged", "a stale message is no excuse");
});
