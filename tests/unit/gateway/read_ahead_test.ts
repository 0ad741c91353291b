import assert from "node:assert/strict";
import { READ_MAX } from "../../../src/core/ports.ts";
import { ReadAhead } from "../../../src/gateway/pipeline/read_ahead.ts";
import { ENTRY } from "../../support/sample_entry.ts";

Deno.test("entries are kept up to 4 MiB of payloads, and what is removed makes room", () => {
  const kept = new ReadAhead();
  const mebibyte = { ...ENTRY, payload: new Uint8Array(1024 * 1024) };
  for (let i = 0; i < 4; i++) {
    assert.ok(kept.hasRoom(mebibyte), `${i} MiB are kept`);
    kept.add(mebibyte);
  }
  assert.ok(kept.hasRoom(ENTRY), "an empty payload fits");
  assert.ok(!kept.hasRoom({ ...ENTRY, payload: new Uint8Array(1) }));
  kept.remove(mebibyte);
  assert.ok(kept.hasRoom(mebibyte));
});

Deno.test("entries are kept up to 4,000, and the one in front of a lane can always be read", () => {
  const kept = new ReadAhead();
  assert.equal(kept.readable, READ_MAX);
  for (let i = 0; i < 3_995; i++) kept.add(ENTRY);
  assert.equal(kept.readable, 5);
  for (let i = 0; i < 5; i++) kept.add(ENTRY);
  assert.ok(!kept.hasRoom(ENTRY));
  assert.equal(kept.readable, 1);
});
