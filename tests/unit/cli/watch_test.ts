/** What `watch` prints: 80 columns, and nothing that moves a cursor. */

import assert from "node:assert/strict";
import { linesOf } from "../../../src/cli/watch.ts";

const ID = "550e8400-e29b-41d4-a716-446655440000";
const ITEM = { time: "2026-11-26T17:00:00.000Z", device_id: "sensor_001", message_id: ID };
const FORM = { columns: 80, colour: false };

Deno.test("each kind has its line", () => {
  const lines = [
    { ...ITEM, kind: "accepted" },
    { ...ITEM, kind: "accepted", late_seconds: 3600 },
    { ...ITEM, kind: "retried", reason: "status 503", delay_ms: 1500 },
    { ...ITEM, kind: "dead_lettered", reason: "status 422" },
    { ...ITEM, kind: "command", state: "done", key: "backend" },
  ].flatMap((item) => linesOf(item, [], FORM));
  assert.deepEqual(lines, [
    `17:00:00 accepted  sensor_001 ${ID}`,
    `17:00:00 accepted  sensor_001 ${ID},`,
    "         3600 s late",
    `17:00:00 retried   sensor_001 ${ID}:`,
    "         status 503, again in 1.5 s",
    `17:00:00 dead      sensor_001 ${ID}:`,
    "         status 422",
    `17:00:00 command   sensor_001 ${ID}:`,
    "         done, of key backend",
  ]);
});

Deno.test("a rejection has its likely mistake below it, within the columns", () => {
  const reason = "Rejected message from sensor_001: Invalid signature";
  const mistake = "It was signed over the payload with white space, as json.dumps writes it; " +
    "separators=(',', ':') leaves it out";
  const lines = linesOf({ ...ITEM, kind: "rejected", reason }, [mistake], FORM);
  assert.equal(lines[0], "17:00:00 rejected  sensor_001 Invalid signature");
  assert.equal(lines[1], `         (${ID})`);
  assert.match(lines[2]!, /^ {9}likely: It was signed over the payload/);
  for (const line of lines) assert.ok(line.length <= 80, line);
});

Deno.test("colour is outside of the count, and only for what is bad", () => {
  const reason = "Rejected message from sensor_001: Replayed message";
  const bad = linesOf({ ...ITEM, kind: "rejected", reason }, [], { columns: 80, colour: true });
  assert.deepEqual(bad, [
    "17:00:00 \x1b[31mrejected \x1b[0m sensor_001 Replayed message",
    `         (${ID})`,
  ]);
  const good = linesOf({ ...ITEM, kind: "delivered" }, [], { columns: 80, colour: true });
  assert.ok(!good[0]!.includes("\x1b"));
});

Deno.test("text from outside cannot move the cursor", () => {
  const hostile = "\x1b[2J\u202e\n";
  const item = { ...ITEM, kind: "rejected", device_id: hostile, reason: hostile, payload: hostile };
  for (const line of linesOf(item, [hostile], FORM)) {
    // deno-lint-ignore no-control-regex -- they are what is looked for
    assert.doesNotMatch(line, /[\x00-\x1f\u202e]/);
  }
});
