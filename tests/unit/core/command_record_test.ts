import assert from "node:assert/strict";
import { commandRecord, commandRecords } from "../../../src/core/command_record.ts";
import { ACCEPTED, wordOf } from "../../support/sample_command.ts";

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

Deno.test("a record has every field, and the device's word byte for byte", () => {
  const payload = new TextEncoder().encode('{"state":"done","result":22.50}');
  const acknowledgement = { ...wordOf("done"), payload };
  const record = text(commandRecord({ ...ACCEPTED, state: "done", acknowledgement }));
  assert.ok(record.endsWith(`"payload":{"state":"done","result":22.50}}}`));
  assert.deepEqual(Object.keys(JSON.parse(record)), [
    ...["device_id", "message_id", "state", "delivery", "created", "expires", "sends"],
    ...["last_sent", "withdrawn", "acknowledgement"],
  ]);
});

Deno.test("a list is one JSON text, with where the next page begins", () => {
  const list = JSON.parse(text(commandRecords([ACCEPTED, ACCEPTED], ACCEPTED.messageId)));
  assert.equal(list.commands.length, 2);
  assert.equal(list.next, ACCEPTED.messageId);
  assert.deepEqual(JSON.parse(text(commandRecords([], null))), { commands: [], next: null });
});
