/** The likely mistakes: each is made on purpose, and must be named. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHmac } from "node:crypto";
import fc from "fast-check";
import { likelyMistakes } from "../../../src/diagnosis/explanation.ts";
import { SEARCH_LIMITS } from "../../../src/diagnosis/signature_mistakes.ts";
import { DEVICE_ID, MESSAGE_ID, NOW, SECRET, TIMESTAMP } from "../../support/judge.ts";
import {
  assertSaid,
  COMPARE,
  examine,
  FEW,
  HEAD,
  hmac,
  message,
  NONE,
  type Row,
} from "../../support/wrong_message.ts";

const RIGHT_SIGNATURE = hmac(SECRET, `${HEAD}{}`);

const FIELD_ROWS: readonly Row[] = [
  [
    "milliseconds in the message only",
    { timestamp: `${TIMESTAMP}123` },
    /timestamp is in milliseconds: send seconds/,
    /With that fixed, the signature is right/,
  ],
  [
    "milliseconds in the message and under the signature",
    { timestamp: `${TIMESTAMP}123`, signed: `${DEVICE_ID}${TIMESTAMP}123${MESSAGE_ID}{}` },
    /timestamp is in milliseconds/,
    /signed timestamp is 1727712000123 too/,
  ],
  [
    "a timestamp with a fraction",
    { timestamp: `${TIMESTAMP}.25`, signed: `${DEVICE_ID}${TIMESTAMP}.25${MESSAGE_ID}{}` },
    /timestamp has a fraction/,
    /signed timestamp is 1727712000\.25 too/,
  ],
  [
    "a timestamp in quotation marks",
    { timestamp: `"${TIMESTAMP}"` },
    /timestamp is in quotation marks/,
    /signature is right/,
  ],
  [
    "a timestamp that counts from 2000",
    { timestamp: String(NOW - 946_684_800) },
    /counts from the year 2000: add 946684800/,
    NONE,
    COMPARE,
  ],
  ["a clock that was never set", { timestamp: "42" }, /clock is not set/],
  ["a date for a timestamp", { timestamp: '"2024-09-30T16:00:00Z"' }, /is a date/],
  [
    "a message_id of version 1",
    { messageId: "550e8400-e29b-11d4-a716-446655440000" },
    /UUID of version 1/,
  ],
  [
    "a message_id without dashes",
    { messageId: MESSAGE_ID.replaceAll("-", "") },
    /message_id must be written as 8-4-4-4-12/,
    /signature is right/,
  ],
  [
    "a message_id without dashes, signed so",
    {
      messageId: MESSAGE_ID.replaceAll("-", ""),
      signed: `${DEVICE_ID}${TIMESTAMP}${MESSAGE_ID.replaceAll("-", "")}{}`,
    },
    /message_id must be written as/,
    /signed message_id is without its dashes/,
  ],
  ["a message_id that is a counter", { messageId: "17" }, /message_id is not a UUID/],
  [
    "a signature in base64",
    { signature: `"${Buffer.from(hmac(SECRET, `${HEAD}{}`), "hex").toString("base64")}"` },
    /signature is in base64: send it as 64 hex digits/,
    /signature is right/,
  ],
  [
    "a signature in base64url, over a wrong text",
    { signature: `"${Buffer.from(hmac(SECRET, "{}"), "hex").toString("base64url")}"` },
    /signature is in base64/,
    /over the payload alone/,
  ],
  [
    "a signature with a prefix",
    { signature: `"sha256=${hmac(SECRET, `${HEAD}{}`)}"` },
    /signature has a prefix/,
    /signature is right/,
  ],
  ...[
    ["openssl's whole output", (hex: string) => `SHA2-256(stdin)= ${hex}`],
    ["openssl's whole output", (hex: string) => `HMAC-SHA256(stdin)= ${hex}`],
    ["sha256sum's whole output", (hex: string) => `${hex}  -`],
    ["separators between its digits", (hex: string) => hex.match(/../g)!.join(":")],
    ["separators between its digits", (hex: string) => hex.toUpperCase().match(/../g)!.join(" ")],
    ["separators between its digits", (hex: string) => `0x${hex.match(/../g)!.join(", 0x")}`],
    ["white space around it", (hex: string) => `${hex}\n`],
    ["Python's b'…' around it", (hex: string) => `b'${hex}'`],
  ].map(([what, write]): Row => [
    `a signature with ${what}`,
    { signature: JSON.stringify((write as (hex: string) => string)(RIGHT_SIGNATURE)) },
    new RegExp(`signature has ${what}`),
    /signature is right/,
  ]),
  [
    "a signature as a list of bytes",
    { signature: JSON.stringify([...Buffer.from(RIGHT_SIGNATURE, "hex")]) },
    /signature is a list of bytes/,
    /signature is right/,
  ],
  [
    "a signature in hex of hex",
    { signature: `"${Buffer.from(RIGHT_SIGNATURE).toString("hex")}"` },
    /hex of hex digits/,
    /signature is right/,
  ],
  [
    "a signature in base64 of hex",
    { signature: `"${Buffer.from(RIGHT_SIGNATURE).toString("base64")}"` },
    /base64 of hex digits/,
    /signature is right/,
  ],
  [
    "microseconds in the message and under the signature",
    { timestamp: `${TIMESTAMP}123456`, signed: `${DEVICE_ID}${TIMESTAMP}123456${MESSAGE_ID}{}` },
    /timestamp is in microseconds/,
    /signed timestamp is 1727712000123456 too/,
  ],
  [
    "nanoseconds in the message",
    { timestamp: `${TIMESTAMP}123456789` },
    /timestamp is in nanoseconds/,
    /signature is right/,
  ],
  [
    "an exponent in the timestamp",
    { timestamp: "1.727712e+09" },
    /timestamp has an exponent/,
    /signature is right/,
  ],
  ["a signature of SHA-1", { signature: `"${"ab".repeat(20)}"` }, /as long as one of SHA-1/],
  ["a signature of SHA-512", { signature: `"${"ab".repeat(64)}"` }, /as long as one of SHA-512/],
  [
    "milliseconds and a signature in base64, of another text",
    {
      timestamp: `${TIMESTAMP}000`,
      payload: '{"a":1}',
      signature: `"${
        createHmac("sha256", SECRET).update(`${DEVICE_ID}${TIMESTAMP}000${MESSAGE_ID}{"a": 1}`)
          .digest("base64")
      }"`,
    },
    /timestamp is in milliseconds/,
    /signature is in base64/,
    /signed timestamp is 1727712000000 too/,
    /separators/,
  ],
];

for (const [mistake, making, ...said] of FIELD_ROWS) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    await assertSaid(await examine(message(making)), said);
  });
}

const RIGHT = message({});
const FIXED = /^With that fixed, the signature is right$/;
const NESTED_RIGHT = message({ payload: '{"a":{"on":true,"x":null},"n":"é"}' });
const PYTHON_TEXT = NESTED_RIGHT.replaceAll('"', "'").replace("true", "True").replace(
  "null",
  "None",
);
const NOT_JSON: readonly [mistake: string, bytes: string | Uint8Array, ...said: RegExp[]][] = [
  ["no bytes at all", "", /message is empty/],
  ["a byte order mark", `\ufeff${RIGHT}`, /byte order mark/, FIXED],
  ["UTF-16", Uint8Array.from(Buffer.from(NESTED_RIGHT, "utf16le")), /UTF-16/, FIXED],
  ["UTF-16, big", Uint8Array.from(Buffer.from(RIGHT, "utf16le").swap16()), /UTF-16/, FIXED],
  ["Latin-1", Uint8Array.from(Buffer.from(NESTED_RIGHT, "latin1")), /Latin-1: write UTF-8/, FIXED],
  ["Python's str", PYTHON_TEXT, /json\.dumps, not with str/, FIXED],
  ["Python's str of bytes", `b'${RIGHT}'`, /b'…': publish the bytes/, FIXED],
  [
    "Python's str of bytes with UTF-8",
    `b'${NESTED_RIGHT.replace("é", "\\xc3\\xa9")}'`,
    /b'…': publish the bytes/,
    FIXED,
  ],
  ["a message in a JSON string", JSON.stringify(RIGHT), /encoded twice/, FIXED],
  ["NaN", RIGHT.replace("{}", '{"t":NaN}'), /no NaN/],
  ["minus infinity", RIGHT.replace("{}", '{"t":-Infinity}'), /no infinity/],
  ["printf's nan", RIGHT.replace("{}", '{"t":-nan}'), /no NaN/],
  ["Python's True", NESTED_RIGHT.replace("true", "True"), /true, false and null/, FIXED],
  ["a decimal comma", RIGHT.replace("{}", '{"t":22,5}'), /decimal point, no comma/],
  ["[object Object]", RIGHT.replace("{}", "[object Object]"), /use JSON\.stringify/],
  ["undefined", RIGHT.replace("{}", '{"t":undefined}'), /no undefined/],
  ["a comma too many", RIGHT.replace("{}", '{"a":1, }'), /no comma after the last/],
  ["the C string's end", `${RIGHT}\0`, /zero byte follows/, FIXED],
  ["a sixth field", RIGHT.replace('"payload"', '"größe":1,"payload"'), /^"größe" is not a field/],
  ["a command", RIGHT.replace(`"device_id":"${DEVICE_ID}",`, ""), /this is a command/],
];

for (const [mistake, bytes, ...said] of NOT_JSON) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    const trial = await examine(bytes);
    assert.equal(trial.read.kind, "rejected");
    await assertSaid(trial, said);
  });
}

const CLOCKS: readonly [mistake: string, offSeconds: number, ...said: readonly RegExp[]][] = [
  ["a clock behind", -4000, /is 4000 s behind now, 300 s are allowed/, /--at 1727712000/],
  ["a clock ahead", 400, /is 400 s ahead of now/],
  ["a time zone east", 7203, /is 7203 s ahead of now/, /time zone, UTC\+2 h/],
  ["a time zone of half hours", 19_790, /is 19790 s ahead/, /time zone, UTC\+5\.5 h/],
  ["a time zone west", -28_800, /is 28800 s behind/, /time zone, UTC-8 h/, /--at 1727712000/],
];

for (const [mistake, offSeconds, ...said] of CLOCKS) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    const nowSeconds = Number(TIMESTAMP) - offSeconds;
    await assertSaid(await examine(RIGHT, { nowSeconds }), said);
  });
}

Deno.test("verify names no mistake in a message that is accepted", async () => {
  assert.deepEqual(await likelyMistakes(await examine(RIGHT)), []);
  const spaced = message({ payload: '{ "a": 1 }', signed: `${HEAD}{ "a": 1 }` });
  assert.deepEqual(await likelyMistakes(await examine(spaced)), []);
});

Deno.test("verify names what is wrong with a retained message, beside the flag", async () => {
  const flag = /^Publish without the retain flag/;
  await assertSaid(await examine(RIGHT, { retained: true }), [flag]);
  const broken = await examine(message({ timestamp: "42" }), { retained: true });
  await assertSaid(broken, [/clock is not set/, flag]);
});

Deno.test("verify looks for mistakes in the largest message in a few seconds", async () => {
  const payload = JSON.stringify({ x: "é y".repeat(12_000), n: Array(2000).fill(1.5) });
  const startMs = performance.now();
  await assertSaid(await examine(message({ payload, key: "another" })), [NONE, COMPARE], {
    limits: SEARCH_LIMITS,
  });
  assert.ok(performance.now() - startMs < 20_000);
});

Deno.test("verify has words for any bytes, and never fails over them", async () => {
  const right = new TextEncoder().encode(message({ payload: '{"a":[1.0,"é"],"b":null}' }));
  const edit = fc.record({
    at: fc.nat(right.length),
    remove: fc.nat(20),
    insert: fc.oneof(fc.uint8Array({ maxLength: 4 }), fc.string().map((text) => Buffer.from(text))),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(edit, { minLength: 1, maxLength: 3 }), async (edits) => {
      let bytes = [...right];
      for (const { at, remove, insert } of edits) bytes = bytes.toSpliced(at, remove, ...insert);
      const trial = await examine(Uint8Array.from(bytes));
      for (const mistake of await likelyMistakes(trial, FEW)) {
        assert.match(mistake, /\S/);
      }
    }),
    { numRuns: 1000 },
  );
});
