import assert from "node:assert/strict";
import { readBatchAnswer } from "../../../src/core/batch_answer.ts";

const A = "550e8400-e29b-41d4-a716-446655440000";
const B = "660e8400-e29b-41d4-a716-446655440000";
const IDS = new Set([A, B]);

const read = (text: string) => readBatchAnswer(new TextEncoder().encode(text), IDS);

/** The items of an answer, bodies as text. */
function itemsOf(text: string) {
  const answer = read(text);
  assert.equal(answer.kind, "items", answer.kind === "fault" ? answer.reason : "");
  if (answer.kind !== "items") return {};
  return Object.fromEntries(
    [...answer.items].map(([id, { status, body }]) => [
      id,
      [status, body && new TextDecoder().decode(body)],
    ]),
  );
}

Deno.test("an empty answer and an object without items say nothing of any item", () => {
  for (const text of ["", " \r\n", "{}", '{"status":"received"}', ' {"a":[1,{"items":2}]} ']) {
    assert.deepEqual(read(text), { kind: "none" }, text);
  }
});

Deno.test("each item has its status, and its body byte for byte", () => {
  const body = '{ "t": 22.50, "n": 1E2, "big": 12345678901234567890, "é": "\\u00e9" }';
  const text = `{"items": [ {"message_id":"${A}","status":200,"body": ${body} , "more":[1]},
    {"status":422,"message_id":"${B.toUpperCase()}"} ], "took_ms": 3}`;
  assert.deepEqual(itemsOf(text), { [A]: [200, body], [B]: [422, ""] });
  assert.deepEqual(itemsOf('{"items":[]}'), {});
  assert.deepEqual(itemsOf(`{"items":[{"message_id":"${A}","status":200,"body":null}]}`), {
    [A]: [200, "null"],
  });
});

Deno.test("a name may be escaped, as in any JSON", () => {
  const text = `{"\\u0069tems":[{"message_id":"${A}","sta\\u0074us":200}]}`;
  assert.deepEqual(itemsOf(text), { [A]: [200, ""] });
});

Deno.test("an item's body of more than 65,536 bytes is left out, its status counts", () => {
  const body = (size: number) => `"${"x".repeat(size - 2)}"`;
  const text = (size: number) =>
    `{"items":[{"message_id":"${A}","status":200,"body":${body(size)}}]}`;
  assert.deepEqual(itemsOf(text(65_536)), { [A]: [200, body(65_536)] });
  assert.deepEqual(itemsOf(text(65_537)), { [A]: [200, undefined] });
});

Deno.test("what is not as agreed is named, with its place", () => {
  const item = `{"message_id":"${A}","status":200}`;
  const cases: readonly (readonly [text: string, reason: string])[] = [
    ["ok", "not a JSON object, at byte 0"],
    ["[]", "not a JSON object, at byte 0"],
    [`[${item}]`, "not a JSON object, at byte 0"],
    ['"items"', "not a JSON object, at byte 0"],
    ["\ufeff{}", "not a JSON object, at byte 0"],
    ["{", "unexpected end, at byte 1"],
    [`{"items":[${item}`, "unexpected end, at byte 76"],
    ['{"items":[],}', "unexpected character, at byte 12"],
    ['{"items":[]} {}', "text after the object, at byte 13"],
    ['{"items":null}', '"items" is not an array, at byte 9'],
    [`{"items":${item}}`, '"items" is not an array, at byte 9'],
    ['{"items":[],"items":[]}', '"items" appears twice, at byte 12'],
    ['{"items":[1]}', "an item is not an object, at byte 10"],
    ['{"items":[{}]}', 'an item without "message_id", at byte 10'],
    [`{"items":[{"message_id":"${A}"}]}`, 'an item without "status", at byte 10'],
    [
      '{"items":[{"message_id":7,"status":200}]}',
      'a "message_id" that is not in the batch, at byte 24',
    ],
    [
      '{"items":[{"message_id":"770e8400-e29b-41d4-a716-446655440000","status":200}]}',
      'a "message_id" that is not in the batch, at byte 24',
    ],
    [`{"items":[${item},${item}]}`, "a message that is in two items, at byte 91"],
    [
      `{"items":[{"message_id":"${A}","status":200,"status":500}]}`,
      '"status" appears twice, at byte 76',
    ],
    ...["99", "100", "199", "1000", "200.0", '"200"', "2e2", "-20", "null"].map((status) =>
      [
        `{"items":[{"message_id":"${A}","status":${status}}]}`,
        'a "status" that is not a number from 200 to 999, at byte 72',
      ] as const
    ),
    [`{"items":${"[".repeat(200)}`, "nested deeper than 128, at byte 137"],
  ];
  for (const [text, reason] of cases) assert.deepEqual(read(text), { kind: "fault", reason }, text);
  const bad = new Uint8Array([...new TextEncoder().encode('{"a":"'), 0xff, 0x22, 0x7d]);
  assert.deepEqual(readBatchAnswer(bad, IDS), { kind: "fault", reason: "not UTF-8" });
});
