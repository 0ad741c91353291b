/** The likely mistakes: each is made on purpose, and must be named. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { createHash, createHmac } from "node:crypto";
import fc from "fast-check";
import { type MessageTrial, tryAlone } from "../../../src/doctor/diagnosis/message_trial.ts";
import { likelyMistakes } from "../../../src/doctor/diagnosis/explanation.ts";
import { DEVICE_ID, MESSAGE_ID, NOW, SECRET, TIMESTAMP } from "../../support/judge.ts";

const HEAD = DEVICE_ID + TIMESTAMP + MESSAGE_ID;
const UPPER_ID = MESSAGE_ID.toUpperCase();
/** A secret that also reads as base64url and as hex. */
const HEX_SECRET = "00112233445566778899aabbccddeeff";

/** What a message is made of; whatever is not said is right. */
interface Making {
  readonly timestamp?: string;
  readonly messageId?: string;
  readonly payload?: string;
  /** The text under the HMAC. */
  readonly signed?: string;
  readonly key?: string | Uint8Array;
  /** In place of the HMAC over `signed`; with its quotation marks. */
  readonly signature?: string;
}

function message(making: Making): string {
  const { timestamp = TIMESTAMP, messageId = MESSAGE_ID, payload = "{}" } = making;
  const signed = making.signed ?? HEAD + payload;
  const signature = making.signature ?? `"${hmac(making.key ?? SECRET, signed)}"`;
  return `{"device_id":"${DEVICE_ID}","timestamp":${timestamp},"message_id":"${messageId}",` +
    `"payload":${payload},"signature":${signature}}`;
}

function hmac(key: string | Uint8Array, text: string): string {
  return createHmac("sha256", key).update(text).digest("hex");
}

function sha256(text: string): string {
  return `"${createHash("sha256").update(text).digest("hex")}"`;
}

async function examine(
  text: string | Uint8Array,
  options: { secret?: string; nowSeconds?: number } = {},
): Promise<MessageTrial> {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  const nowSeconds = options.nowSeconds ?? NOW;
  const subject = { bytes, identity: DEVICE_ID, nowSeconds, now: true, toleranceSeconds: 300 };
  return await tryAlone(subject, options.secret ?? SECRET);
}

/** Each mistake, and what must be said of it and nothing else. */
type Row = readonly [mistake: string, making: Making, ...said: readonly RegExp[]];

const NESTED = '{"a":1,"b":[1,2],"c":"x, y: \\"z\\""}';
const WHOLE = `{"device_id":"${DEVICE_ID}","timestamp":${TIMESTAMP},"message_id":"${MESSAGE_ID}",` +
  '"payload":{"a":1}}';
const WHOLE_IN_PYTHON = `{"device_id": "${DEVICE_ID}", "timestamp": ${TIMESTAMP}, ` +
  `"message_id": "${MESSAGE_ID}", "payload": {"a": 1}}`;

const TEXT_ROWS: readonly Row[] = [
  [
    "Python's separators",
    { payload: NESTED, signed: `${HEAD}{"a": 1, "b": [1, 2], "c": "x, y: \\"z\\""}` },
    /separators ", " and ": ", not "," and ":": in Python, use json\.dumps/,
  ],
  [
    "a space after colons only",
    { payload: '{"a":1,"b":2}', signed: `${HEAD}{"a": 1,"b": 2}` },
    /separators "," and ": "/,
  ],
  [
    "a number that was parsed and written again",
    { payload: '{"t":22.0,"n":1E2}', signed: `${HEAD}{"t":22,"n":100}` },
    /parsed and written again \(22\.0 is sent, 22 is signed\)/,
  ],
  [
    "keys that a parser puts into another order",
    { payload: '{"b":0,"10":1,"9":2}', signed: `${HEAD}{"9":2,"10":1,"b":0}` },
    /parsed and written again \("b" is sent, "9" is signed\)/,
  ],
  [
    "sorted keys, numbers kept",
    {
      payload: '{"t":22.0,"h":{"z":[{"d":1.0,"c":2}],"y":1}}',
      signed: `${HEAD}{"h":{"y":1,"z":[{"c":2,"d":1.0}]},"t":22.0}`,
    },
    /keys sorted/,
  ],
  [
    "escapes that the message does not have",
    { payload: '{"n":"café 🌡"}', signed: `${HEAD}{"n":"caf\\u00e9 \\ud83c\\udf21"}` },
    /has \\u escapes where the message has the characters themselves .*ensure_ascii=False/,
  ],
  [
    "characters that the message has escaped",
    { payload: '{"t":1.0,"n":"caf\\u00e9"}', signed: `${HEAD}{"t":1.0,"n":"café"}` },
    /has the characters themselves where the message has \\u escapes/,
  ],
  [
    "json.dumps with nothing said, against a compact message in UTF-8",
    { payload: '{"n":"é","m":2}', signed: `${HEAD}{"n": "\\u00e9", "m": 2}` },
    /has \\u escapes/,
    /separators/,
  ],
  [
    "a message_id in lower case",
    { messageId: UPPER_ID, signed: `${HEAD}{}` },
    /message_id is in lower case/,
  ],
  [
    "a message_id in upper case",
    { signed: `${DEVICE_ID}${TIMESTAMP}${UPPER_ID}{}` },
    /message_id is in upper case/,
  ],
  [
    "a message_id without dashes",
    { signed: `${DEVICE_ID}${TIMESTAMP}${MESSAGE_ID.replaceAll("-", "")}{}` },
    /message_id is without its dashes/,
  ],
  ...[".", "|", ":", ",", " ", "\n"].map((joint): Row => [
    `fields joined by ${JSON.stringify(joint)}`,
    { signed: [DEVICE_ID, TIMESTAMP, MESSAGE_ID, "{}"].join(joint) },
    new RegExp(`joined by "${joint === "\n" ? "\\\\n" : `\\${joint}`}": they must follow`),
  ]),
  [
    "the whole message",
    { payload: '{"a":1}', signed: WHOLE },
    /over a whole JSON message/,
  ],
  [
    "the whole message as Python writes it",
    { payload: '{"a":1}', signed: WHOLE_IN_PYTHON },
    /over a whole JSON message/,
    /separators/,
  ],
  ["the payload alone", { payload: '{"a":1}', signed: '{"a":1}' }, /over the payload alone/],
  [
    "no device_id",
    { signed: `${TIMESTAMP}${MESSAGE_ID}{}` },
    /leaves out the device_id/,
  ],
  [
    "a timestamp in milliseconds under the signature only",
    { signed: `${DEVICE_ID}${TIMESTAMP}417${MESSAGE_ID}{}` },
    /signed timestamp has milliseconds/,
  ],
  [
    "a timestamp with a fraction under the signature only",
    { signed: `${DEVICE_ID}${TIMESTAMP}.0${MESSAGE_ID}{}` },
    /signed timestamp has a fraction/,
  ],
  [
    "three mistakes at once",
    {
      payload: '{"a":1.0}',
      messageId: UPPER_ID,
      signed: [DEVICE_ID, TIMESTAMP, MESSAGE_ID, '{"a": 1.0}'].join("."),
    },
    /joined by "\."/,
    /message_id is in lower case/,
    /separators/,
  ],
];

const KEY_ROWS: readonly Row[] = [
  ["a newline in the key", { key: `${SECRET}\n` }, /the secret and a newline/],
  ["a carriage return in the key", { key: `${SECRET}\r\n` }, /a carriage return and a newline/],
  ["quotation marks in the key", { key: `"${SECRET}"` }, /the secret in quotation marks/],
  ["plain SHA-256", { signature: sha256(`${HEAD}{}`) }, /plain SHA-256, not HMAC/],
  ["SHA-256 over secret and text", { signature: sha256(`${SECRET}${HEAD}{}`) }, /plain SHA-256/],
  ["SHA-256 over text and secret", { signature: sha256(`${HEAD}{}${SECRET}`) }, /plain SHA-256/],
  [
    "key and text swapped",
    { signature: `"${hmac(`${HEAD}{}`, SECRET)}"` },
    /key and text are swapped/,
  ],
  [
    "another secret",
    { key: "not at all" },
    /None of the usual mistakes .* another secret, or the message was changed/,
  ],
  [
    "a changed payload",
    { payload: '{"t":99}', signed: `${HEAD}{"t":22}` },
    /the message was changed after it was signed/,
  ],
];

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
    /None of the usual mistakes/,
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

for (const [mistake, making, ...said] of [...TEXT_ROWS, ...KEY_ROWS, ...FIELD_ROWS]) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    await assertSaid(await examine(message(making)), said);
  });
}

const RIGHT = message({});
const NOT_JSON: readonly [mistake: string, bytes: string | Uint8Array, said: RegExp][] = [
  ["no bytes at all", "", /message is empty/],
  ["a byte order mark", `\ufeff${RIGHT}`, /byte order mark/],
  ["UTF-16", Uint8Array.from(Buffer.from(RIGHT, "utf16le")), /UTF-16/],
  ["Python's str", RIGHT.replaceAll('"', "'"), /json\.dumps, not with str/],
  ["NaN", RIGHT.replace("{}", '{"t":NaN}'), /no NaN/],
  ["minus infinity", RIGHT.replace("{}", '{"t":-Infinity}'), /no infinity/],
  ["printf's nan", RIGHT.replace("{}", '{"t":-nan}'), /no NaN/],
  ["Python's True", RIGHT.replace("{}", '{"on":True}'), /true, false and null/],
  ["a comma too many", RIGHT.replace("{}", '{"a":1, }'), /no comma after the last/],
  ["the C string's end", `${RIGHT}\0`, /zero byte follows/],
  ["a sixth field", RIGHT.replace('"payload"', '"größe":1,"payload"'), /^"größe" is not a field/],
  ["a command", RIGHT.replace(`"device_id":"${DEVICE_ID}",`, ""), /this is a command/],
];

for (const [mistake, bytes, said] of NOT_JSON) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    const trial = await examine(bytes);
    assert.equal(trial.read.kind, "rejected");
    await assertSaid(trial, [said]);
  });
}

for (
  const [encoding, key] of [
    ["hex", Buffer.from(HEX_SECRET, "hex")],
    ["base64", Buffer.from(HEX_SECRET, "base64")],
  ] as const
) {
  Deno.test(`verify names the mistake: a secret decoded from ${encoding}`, async () => {
    await assertSaid(await examine(message({ key }), { secret: HEX_SECRET }), [
      new RegExp(`decoded from ${encoding} before it became the key`),
    ]);
  });
}

Deno.test("verify names the mistake: a base64url secret, as the program makes them, decoded", async () => {
  const key = crypto.getRandomValues(new Uint8Array(32));
  const secret = Buffer.from(key).toString("base64url");
  await assertSaid(await examine(message({ key }), { secret }), [/decoded from base64/]);
});

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

Deno.test("verify looks for mistakes in the largest message in a few seconds", async () => {
  const payload = JSON.stringify({ x: "é y".repeat(12_000), n: Array(2000).fill(1.5) });
  const startMs = performance.now();
  await assertSaid(await examine(message({ payload, key: "another" })), [/None of the usual/]);
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
      for (const mistake of await likelyMistakes(await examine(Uint8Array.from(bytes)))) {
        assert.match(mistake, /\S/);
      }
    }),
    { numRuns: 1000 },
  );
});

/** The mistakes of a rejected message must be these, in this order. */
async function assertSaid(trial: MessageTrial, said: readonly RegExp[]): Promise<void> {
  assert.equal(trial.verdict.kind, "rejected");
  const mistakes = await likelyMistakes(trial);
  assert.equal(mistakes.length, said.length, mistakes.join("\n"));
  said.forEach((pattern, i) => assert.match(mistakes[i]!, pattern));
}
