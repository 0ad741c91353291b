import assert from "node:assert/strict";
import {
  hasEntityTag,
  readIdempotencyKey,
  readTtl,
  readWait,
} from "../../../src/gateway/api/request_fields.ts";

const LONGEST = 604_800;

/** Header fields; a name may come twice. */
function fields(...pairs: readonly (readonly [string, string])[]): Headers {
  const headers = new Headers();
  for (const [name, value] of pairs) headers.append(name, value);
  return headers;
}

Deno.test("TTL is whole seconds from 5 to the longest, once", () => {
  assert.deepEqual(readTtl(fields(), LONGEST), { ok: true, value: undefined });
  for (const [text, value] of [["5", 5], ["604800", 604_800], ["0060", 60]] as const) {
    assert.deepEqual(readTtl(fields(["TTL", text]), LONGEST), { ok: true, value }, text);
  }
  const wrong = ["", "4", "0", "-5", "+5", "5.0", "5s", "1e3", "604801", "0x10", "5 5"];
  for (const text of [...wrong, "9".repeat(400)]) {
    assert.equal(readTtl(fields(["TTL", text]), LONGEST).ok, false, text);
  }
  assert.equal(readTtl(fields(["TTL", "60"], ["TTL", "60"]), LONGEST).ok, false);
});

Deno.test("an Idempotency-Key is 1 to 255 visible ASCII characters, quoted or bare", () => {
  assert.deepEqual(readIdempotencyKey(fields()), { ok: true, value: undefined });
  const right = [
    ["k1", "k1"],
    ['"k1"', "k1"],
    ['"a\\"b\\\\c"', 'a"b\\c'],
    ['a"b', 'a"b'],
    ["a,b", "a,b"],
    ["!~", "!~"],
    ["x".repeat(255), "x".repeat(255)],
    [`"${"x".repeat(255)}"`, "x".repeat(255)],
  ] as const;
  for (const [text, value] of right) {
    const read = readIdempotencyKey(fields(["Idempotency-Key", text]));
    assert.deepEqual(read, { ok: true, value }, text);
  }
  const wrong = ["", '""', '"', '"a', '"a"b', '"a b"', "a b", "é", "x".repeat(256), '"a\\b"'];
  for (const text of wrong) {
    assert.equal(readIdempotencyKey(fields(["Idempotency-Key", text])).ok, false, text);
  }
  const twice = fields(["Idempotency-Key", "a"], ["Idempotency-Key", "a"]);
  assert.equal(readIdempotencyKey(twice).ok, false);
});

Deno.test("Prefer: wait=N is found among others; what is not understood is none", () => {
  const right = [
    ["wait=10", 10],
    ["WAIT = 10", 10],
    ['wait="10"', 10],
    ["respond-async, wait=10", 10],
    ["return=minimal; wait=1, wait=10;x=y, wait=3", 10],
    ["wait=0", 0],
  ] as const;
  for (const [text, seconds] of right) {
    assert.equal(readWait(fields(["Prefer", text])), seconds, text);
  }
  assert.equal(readWait(fields(["Prefer", "respond-async"], ["Prefer", "wait=7"])), 7);
  for (
    const text of ["", "wait", "wait=", "wait=-1", "wait=1s", "wait=1.5", "waits=1", "x=wait=1"]
  ) {
    assert.equal(readWait(fields(["Prefer", text])), undefined, text);
  }
  assert.equal(readWait(fields()), undefined);
});

Deno.test("If-None-Match is a list of tags, weak or strong, or any", () => {
  const tag = '"abc"';
  for (const text of ['"abc"', 'W/"abc"', '"x", "abc"', '"a,b","abc"', "*", " * "]) {
    assert.ok(hasEntityTag(fields(["If-None-Match", text]), tag), text);
  }
  for (const text of ["", "abc", '"abcd"', '"x", "y"', '""', '"x*"']) {
    assert.equal(hasEntityTag(fields(["If-None-Match", text]), tag), false, text);
  }
  assert.equal(hasEntityTag(fields(), tag), false);
});
