/** Signatures over the wrong text or with the wrong key: each is made, and must be named. */

import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { likelyMistakes } from "../../../src/diagnosis/explanation.ts";
import { DEVICE_ID, MESSAGE_ID, SECRET, TIMESTAMP } from "../../support/judge.ts";
import {
  assertSaid,
  COMPARE,
  examine,
  HEAD,
  hmac,
  message,
  NONE,
  type Row,
  sha256,
} from "../../support/wrong_message.ts";

const UPPER_ID = MESSAGE_ID.toUpperCase();
/** A secret that also reads as base64url and as hex. */
const HEX_SECRET = "00112233445566778899aabbccddeeff";

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

/** The payload that is sent, the one that is signed, and what is said. */
const SPELLINGS: readonly [mistake: string, sent: string, signed: string, ...said: RegExp[]][] = [
  ["Go's escapes", '{"a":"<b>&"}', '{"a":"\\u003cb\\u003e\\u0026"}', /Go's \\u003c/],
  ["PHP's escapes", '{"a":"/é"}', '{"a":"\\/\\u00e9"}', /PHP writes them/],
  ["PHP's slashes", '{"a":"/é"}', '{"a":"\\/é"}', /JSON_UNESCAPED_SLASHES keeps it/],
  [".NET's escapes", '{"a":"é+\'"}', '{"a":"\\u00E9\\u002B\\u0027"}', /\.NET writes them/],
  ["Gson's escapes", '{"a":"x=\'"}', '{"a":"x\\u003d\\u0027"}', /Gson writes them/],
  ["escapes of ASCII", '{"a":"\\u003c\\/"}', '{"a":"</"}', /parsed and written again/],
  ["two spaces", '{"a":[1,{}]}', '{\n  "a": [\n    1,\n    {}\n  ]\n}', /indented \(pretty/],
  ["a tab", '{"a":1}', '{\n\t"a": 1\n}', /indented/],
  ["four spaces, CRLF", '{"a":1}', '{\r\n    "a": 1\r\n}', /indented/],
  ["Jackson's", '{"a":[1,2],"b":{}}', '{\n  "a" : [ 1, 2 ],\n  "b" : { }\n}', /indented/],
  ["str(dict)", '{"a":true,"b":null,"c":"it"}', "{'a': True, 'b': None, 'c': 'it'}", /of a dict/],
  ["str(dict) of a quote", '{"c":"it\'s"}', "{'c': \"it's\"}", /of a dict/],
  ["a Java map", '{"a":1,"b":"x"}', "{a=1, b=x}", /Java's text of a map/],
  ["[object Object]", '{"a":1}', "[object Object]", /use JSON\.stringify/],
  ["encoded twice", '{"a":1}', '"{\\"a\\":1}"', /encoded twice/],
  ["a payload in a string", '"{\\"a\\": 1}"', '{"a": 1}', /sent as a JSON string/],
  ["str(bytes)", '{"a":"é"}', 'b\'{"a":"\\xc3\\xa9"}\'', /Python's text of bytes/],
  ["22.50 as 22.5, keys kept", '{"9":22.50,"1":1}', '{"9":22.5,"1":1}', /22\.50 is sent, 22\.5 is/],
  ["Python's numbers", '{"a":1E2,"b":1e-7}', '{"a":100.0,"b":1e-07}', /as Python writes them/],
  ["Java's numbers", '{"a":1.5e10}', '{"a":1.5E10}', /as Java writes them/],
  ["Gson's numbers", '{"a":60}', '{"a":60.0}', /all as fractions/],
  ["two digits", '{"a":22.5,"b":1}', '{"a":22.50,"b":1}', /with 2 digits after the point/],
  ["%f", '{"a":22.5}', '{"a":22.500000}', /with 6 digits/],
  ["%g", '{"a":1234567}', '{"a":1.23457e+06}', /printf's %g/],
  ["exponents", '{"a":1000}', '{"a":1e+03}', /with exponents/],
  ["a float of 32 bits", '{"a":22.1}', '{"a":22.100000381469727}', /float of 32 bits/],
  ["a decimal comma", '{"a":22.5}', '{"a":22,5}', /decimal comma/],
  [
    "json.dumps(indent=2) with escapes",
    '{"a":"é"}',
    '{\n  "a": "\\u00e9"\n}',
    /\\u escapes/,
    /indented/,
  ],
];

/** What is signed of a message with the payload {"a":"é"}, and what is said. */
const INPUTS: readonly [mistake: string, signed: string | Uint8Array, said: RegExp][] = [
  ["a newline behind", `${HEAD}{"a":"é"}\n`, /a newline behind the payload/],
  ["a zero byte behind", `${HEAD}{"a":"é"}\0`, /a zero byte behind/],
  ["Latin-1", Buffer.from(`${HEAD}{"a":"é"}`, "latin1"), /Latin-1/],
  ["UTF-16", Buffer.from(`${HEAD}{"a":"é"}`, "utf16le"), /UTF-16/],
  ["a byte order mark", `\ufeff${HEAD}{"a":"é"}`, /byte order mark/],
  ["str(bytes) of it all", `b'${HEAD}{"a":"\\xc3\\xa9"}'`, /Python's text of bytes/],
  [
    "another order",
    `${TIMESTAMP}${DEVICE_ID}${MESSAGE_ID}{"a":"é"}`,
    /over timestamp \+ device_id \+ message_id \+ payload: sign device_id/,
  ],
  ["no message_id", `${DEVICE_ID}${TIMESTAMP}{"a":"é"}`, /leaves out the message_id/],
  ["no payload", HEAD, /leaves out the payload/],
  ["only two, turned round", `{"a":"é"}${TIMESTAMP}`, /over payload \+ timestamp: sign/],
  ...[
    [`${TIMESTAMP}000`, "milliseconds"],
    [`${TIMESTAMP}000000`, "microseconds"],
    [`${TIMESTAMP}000000000`, "nanoseconds"],
    ["1.727712e+09", "an exponent"],
    ["1.727712E9", "an exponent"],
    ["2024-09-30T16:00:00Z", "the form of a date"],
  ].map(([timestamp, what]): [string, string, RegExp] => [
    `a signed timestamp with ${what}`,
    `${DEVICE_ID}${timestamp}${MESSAGE_ID}{"a":"é"}`,
    new RegExp(`signed timestamp has ${what}`),
  ]),
  [
    "two looks at the clock",
    `${DEVICE_ID}1727712001${MESSAGE_ID}{"a":"é"}`,
    /another, 1727712001: ask the clock once/,
  ],
];

const KEY_ROWS: readonly Row[] = [
  ["a newline in the key", { key: `${SECRET}\n` }, /the secret and a newline/],
  ["a carriage return in the key", { key: `${SECRET}\r\n` }, /a carriage return and a newline/],
  ["quotation marks in the key", { key: `"${SECRET}"` }, /the secret in quotation marks/],
  ["openssl's output as the key", { key: `SHA2-256(stdin)= ${SECRET}` }, /openssl's whole output/],
  ["no key", { key: "" }, /has not read its secret/],
  ["JavaScript's undefined as the key", { key: "undefined" }, /has not read its secret/],
  ["a key in hex", { key: Buffer.from(SECRET).toString("hex") }, /secret was encoded in hex/],
  ["a key in UTF-16", { key: Buffer.from(SECRET, "utf16le") }, /secret in UTF-16/],
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
    NONE,
    COMPARE,
  ],
  [
    "a changed payload",
    { payload: '{"t":99}', signed: `${HEAD}{"t":22}` },
    NONE,
    COMPARE,
  ],
];

for (const [mistake, making, ...said] of [...TEXT_ROWS, ...KEY_ROWS]) {
  Deno.test(`verify names the mistake: ${mistake}`, async () => {
    await assertSaid(await examine(message(making)), said);
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

for (const [mistake, sent, signed, ...said] of SPELLINGS) {
  Deno.test(`verify names the mistake in the signed payload: ${mistake}`, async () => {
    await assertSaid(await examine(message({ payload: sent, signed: HEAD + signed })), said);
  });
}

for (const [mistake, signed, said] of INPUTS) {
  Deno.test(`verify names the mistake in the signed text: ${mistake}`, async () => {
    await assertSaid(await examine(message({ payload: '{"a":"é"}', signed })), [said]);
  });
}

Deno.test("verify names the mistake: a secret that is openssl's output, of which the last word is used", async () => {
  const secret = `SHA2-256(stdin)= ${"ab".repeat(32)}`;
  await assertSaid(await examine(message({ key: "ab".repeat(32) }), { secret }), [
    /only the last word of the secret/,
  ]);
});

Deno.test("verify says how many ways to sign it has tried, and ends in time", async () => {
  const trial = await examine(message({ payload: '{"a":1.5}', key: "another" }));
  for (const limits of [{ trialsMax: 500, timeMaxMs: 60_000 }, { trialsMax: 1e6, timeMaxMs: 0 }]) {
    const [said, ...rest] = await likelyMistakes(trial, limits);
    assert.match(said!, /^None of the (500|0) ways .* \(the search ends there\): other orders/);
    assert.match(rest.join(), COMPARE);
  }
});
