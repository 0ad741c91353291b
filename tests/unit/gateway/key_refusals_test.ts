import assert from "node:assert/strict";
import type { GatewayEvent } from "../../../src/core/event.ts";
import { KeyRefusals } from "../../../src/gateway/api/key_refusals.ts";
import { poll } from "../../../src/time/poll.ts";

Deno.test("the first refusal is told at once, those after it with their count and last address", async () => {
  const events: GatewayEvent[] = [];
  const refusals = new KeyRefusals((event) => events.push(event), 50);
  for (let i = 1; i <= 4; i++) refusals.add("wrong key", `192.0.2.${i}`);
  refusals.add("no key", "192.0.2.9");
  const kind = "api_key_refused";
  const first = [
    { kind, fault: "wrong key", count: 1, address: "192.0.2.1" },
    { kind, fault: "no key", count: 1, address: "192.0.2.9" },
  ];
  assert.deepEqual(events, first);
  await poll("the sum", () => events.length === 3);
  const sum = { kind, fault: "wrong key", count: 3, address: "192.0.2.4" };
  assert.deepEqual(events, [...first, sum]);
  refusals.add("wrong key", "192.0.2.5");
  refusals.close();
  assert.deepEqual(events.slice(3), [{ kind, fault: "wrong key", count: 1, address: "192.0.2.5" }]);
});
