import assert from "node:assert/strict";
import { Refusals } from "../../../src/gateway/api/refusals.ts";
import { poll } from "../../../src/time/poll.ts";

const EVERY_MS = 50;

function recorded(oneByOne: number) {
  const told: [last: string, count: number][] = [];
  const refusals = new Refusals<string>((last, count) => told.push([last, count]), {
    oneByOne,
    everyMs: EVERY_MS,
  });
  return { told, refusals };
}

Deno.test("the first refusal is told at once, those after it with their count and the last of them", async () => {
  const { told, refusals } = recorded(1);
  for (let i = 1; i <= 4; i++) refusals.add("wrong key", `192.0.2.${i}`);
  refusals.add("no key", "192.0.2.9");
  const first = [["192.0.2.1", 1], ["192.0.2.9", 1]];
  assert.deepEqual(told, first);
  await poll("the sum", () => told.length === 3);
  assert.deepEqual(told, [...first, ["192.0.2.4", 3]]);
  refusals.add("wrong key", "192.0.2.5");
  refusals.close();
  assert.deepEqual(told.slice(3), [["192.0.2.5", 1]]);
});

Deno.test("as many are told one by one as were asked for, and again once it was quiet", async () => {
  const { told, refusals } = recorded(2);
  for (let i = 1; i <= 5; i++) refusals.add("a", String(i));
  assert.deepEqual(told, [["1", 1], ["2", 1]]);
  await poll("the sum", () => told.length === 3);
  assert.deepEqual(told[2], ["5", 3]);
  await new Promise((resolve) => setTimeout(resolve, 3 * EVERY_MS)); // a time without any
  refusals.add("a", "6");
  assert.deepEqual(told[3], ["6", 1]);
  refusals.close();
  assert.equal(told.length, 4);
});
