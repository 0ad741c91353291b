import assert from "node:assert/strict";
import { traceparentOf } from "../../../src/core/traceparent.ts";

const ID = "550E8400-e29b-41d4-a716-446655440000";
const PARENT = Uint8Array.fromHex("00f067aa0ba902b7");

Deno.test("the trace id is the message_id, in lower case; the try's parent id follows", () => {
  const expected = "00-550e8400e29b41d4a716446655440000-00f067aa0ba902b7-01";
  assert.equal(traceparentOf(ID, PARENT), expected);
  assert.equal(traceparentOf(ID.toLowerCase(), PARENT), expected);
});

Deno.test("a parent id is never all zero, which would make the field invalid", () => {
  assert.match(traceparentOf(ID, new Uint8Array(8)), /^00-[0-9a-f]{32}-0{15}1-01$/);
});
