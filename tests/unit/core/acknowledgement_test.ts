import assert from "node:assert/strict";
import { readAcknowledgement } from "../../../src/core/acknowledgement.ts";

function read(text: string) {
  return readAcknowledgement(new TextEncoder().encode(text));
}

Deno.test("readAcknowledgement() refuses a payload that names its state twice", () => {
  const twofold = [
    '{"state":"done","state":"failed"}',
    '{"state":"done","state":"done"}',
    '{"state":{},"result":[1,{"a":"}"}],"st\\u0061te":"done"}',
    ' { "state" : "received" , "reason" : "\\",\\"" , "state" : "done" } ',
  ];
  for (const text of twofold) {
    const fault = '"state" appears twice, in the payload';
    assert.deepEqual(read(text), { ok: false, fault }, text);
  }
});

Deno.test("readAcknowledgement() takes a payload whose other parts name a state too", () => {
  const once = [
    '{"state":"done"}',
    '{"result":{"state":1,"state":2},"st\\u0061te":"done"}',
    '{"state":"done","result":"\\"state\\":\\"failed\\"","reason":"é","x":[{"state":1}]}',
    '{ "state" : "done" , "result" : [ ] }',
  ];
  for (const text of once) assert.deepEqual(read(text), { ok: true, state: "done" }, text);
});

Deno.test("readAcknowledgement() refuses what has no state of its own", () => {
  for (const text of ["null", "[]", '"done"', '{"__proto__":{"state":"done"}}', '{"state":null}']) {
    assert.equal(read(text).ok, false, text);
  }
});
