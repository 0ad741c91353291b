import assert from "node:assert/strict";
import { jsonMember } from "../../../src/client/json_member.ts";
import { readCommandView } from "../../../src/client/command_view.ts";
import { commandRecord } from "../../../src/core/command_record.ts";
import { ACCEPTED, wordOf } from "../../support/sample_command.ts";

const utf8 = (text: string) => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

Deno.test("readCommandView() finds in a record what went into it, and the word byte for byte", () => {
  const payload = utf8(
    '{"state":"done","result":[22.50,12345678901234567890,"\\u00e9"],"payload":1}',
  );
  const acknowledgement = { ...wordOf("done"), payload };
  const command = { ...ACCEPTED, state: "done", acknowledgement, delivery: "queued" } as const;
  const { keyName: _, isKept: _kept, copies: _copies, ...known } = command;
  const { state: _state, ...word } = acknowledgement;
  const view = readCommandView(new TextDecoder().decode(commandRecord(command)));
  assert.deepEqual(view, { ...known, acknowledgement: word });
});

Deno.test("readCommandView() reads a record without a word of the device", () => {
  const { acknowledgement, state } = readCommandView(textOf(commandRecord(ACCEPTED))!);
  assert.deepEqual([acknowledgement, state], [undefined, "waiting"]);
});

Deno.test("readCommandView() refuses what is no record", () => {
  for (const text of ["{}", "null", "1", '{"state":"delivered"}', "<html>"]) {
    assert.throws(() => readCommandView(text), Error, text);
  }
});

Deno.test("jsonMember() cuts out the value of a name, and of no other", () => {
  const text = utf8(' { "a b" : [ 1 , {"c":2} ] , "c" : "\\"c\\"" , "d":22.50 } ');
  assert.equal(textOf(jsonMember(text, "a b")), '[ 1 , {"c":2} ]');
  assert.equal(textOf(jsonMember(text, "c")), '"\\"c\\""');
  assert.equal(textOf(jsonMember(text, "d")), "22.50");
  assert.equal(jsonMember(text, "e"), undefined);
});

Deno.test("jsonMember() finds nothing in what is no object, and never throws", () => {
  for (const text of ["", "{", "{}", "[1]", '{"a"', '{"a":', '{"a":}', '{"a" 1}', '"a"', "{a:1}"]) {
    assert.equal(jsonMember(utf8(text), "a"), undefined, text);
  }
});
