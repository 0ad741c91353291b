import assert from "node:assert/strict";
import { isClean } from "./checker.ts";
import { checkKit, type KitEvidence } from "./kit_checker.ts";

const GOOD: KitEvidence = {
  made: [
    { messageId: "a", payload: '{"n":0}', ended: true },
    { messageId: "b", payload: '{"n":1}', ended: true },
  ],
  received: [
    { messageId: "a", text: '{"n":0}' },
    { messageId: "a", text: '{"n":0}' },
    { messageId: "b", text: '{"n":1}' },
  ],
  executions: [{ messageId: "c", payload: '{"n":0}' }],
  commands: [{ messageId: "c", state: "done" }, { messageId: "d", state: "expired" }],
};

Deno.test("checkKit() finds nothing where device, backend and gateway agree", () => {
  const figures = checkKit(GOOD);
  assert.ok(isClean(figures), figures.violations.join("\n"));
  assert.deepEqual([figures.sent, figures.answered, figures.doubled], [2, 2, 1]);
});

const BENT: readonly (readonly [what: string, evidence: Partial<KitEvidence>])[] = [
  ["lost", { received: GOOD.received.slice(0, 2) }],
  ["not of the device", { received: [...GOOD.received, { messageId: "x", text: '{"n":2}' }] }],
  ["one reading, two keys", { received: [...GOOD.received, { messageId: "x", text: '{"n":1}' }] }],
  ["out of order", { received: GOOD.received.toReversed() }],
  ["changed", { received: [...GOOD.received, { messageId: "b", text: '{"n": 1}' }] }],
  ["executed twice", { executions: [...GOOD.executions, ...GOOD.executions] }],
  [
    "executed twice",
    { executions: [...GOOD.executions, { messageId: "e", payload: '{"n":0}' }] },
  ],
  [
    "executed, and nobody asked",
    { executions: [...GOOD.executions, { messageId: "x", payload: '{"n":1}' }] },
  ],
  ["a command that is done", { executions: [] }],
  ["a command that is expired", { commands: [{ messageId: "c", state: "expired" }] }],
  ["a command that is unconfirmed", { commands: [{ messageId: "c", state: "unconfirmed" }] }],
  ["a command that is sent", { executions: [], commands: [{ messageId: "c", state: "sent" }] }],
];

Deno.test("checkKit() finds each thing that is wrong", () => {
  for (const [what, bent] of BENT) {
    const { violations } = checkKit({ ...GOOD, ...bent });
    assert.ok(violations.some((one) => one.startsWith(`${what}: `)), `${what}: ${violations}`);
  }
});
