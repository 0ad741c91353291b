import assert from "node:assert/strict";
import { readEnvelope } from "../../../src/core/envelope.ts";
import {
  REJECTION_CODES,
  type RejectionCode,
  rejectionSentence,
} from "../../../src/core/rejection.ts";
import { type Facts, judge, message, NOW, outcomeOf } from "../../support/judge.ts";

/**
 * The peeling table: the first row is wrong in every way; each next row mends the fault that
 * decided before. The codes must come in their declared order.
 */
const PEELS: readonly {
  readonly expect: RejectionCode | "accepted";
  readonly mend: (wrong: Wrong) => void;
}[] = [
  { expect: "malformed", mend: () => {} },
  { expect: "identity_mismatch", mend: (wrong) => wrong.tail = "" },
  { expect: "unknown_device", mend: (wrong) => wrong.topic = "device/sensor_001/data" },
  { expect: "device_revoked", mend: (wrong) => wrong.facts.status = "revoked" },
  { expect: "invalid_signature", mend: (wrong) => wrong.facts.status = "active" },
  { expect: "timestamp_out_of_range", mend: (wrong) => wrong.signed = '{"t":1}' },
  { expect: "replayed", mend: (wrong) => wrong.facts.nowSeconds = NOW },
  { expect: "rate_limited", mend: (wrong) => wrong.facts.remembered = false },
  { expect: "accepted", mend: (wrong) => wrong.facts.withinRate = true },
];

interface Wrong {
  tail: string;
  topic: string;
  signed: string;
  facts: { -readonly [K in keyof Facts]?: Facts[K] };
}

Deno.test("the checks are made in the order of the codes", async () => {
  const wrong: Wrong = {
    tail: "}",
    topic: "device/sensor_002/data",
    signed: '{"t":2}',
    facts: { status: "unknown", nowSeconds: NOW + 600, remembered: true, withinRate: false },
  };
  const outcomes: string[] = [];
  for (const { expect, mend } of PEELS) {
    mend(wrong);
    const text = await message('{"t":1}', { signed: wrong.signed }) + wrong.tail;
    const outcome = outcomeOf(await judge(text, undefined, { topic: wrong.topic, ...wrong.facts }));
    assert.equal(outcome, expect);
    outcomes.push(outcome);
  }
  assert.deepEqual(outcomes, [...REJECTION_CODES, "accepted"]);
});

Deno.test("an expired device is refused like a revoked one", async () => {
  const verdict = await judge(await message("1"), undefined, { status: "expired" });
  assert.equal(outcomeOf(verdict), "device_revoked");
});

Deno.test("a retained message is refused, whatever it says", async () => {
  const verdict = await judge(await message("1"), undefined, { retained: true });
  assert.equal(outcomeOf(verdict), "malformed");
});

Deno.test("a message at exactly the tolerance is accepted, and none beyond it", async () => {
  const text = await message("1");
  const timestamp = 1_727_712_000;
  for (const [offset, expect] of [[300, "accepted"], [-300, "accepted"]] as const) {
    assert.equal(
      outcomeOf(await judge(text, undefined, { nowSeconds: timestamp + offset })),
      expect,
    );
    const beyond = timestamp + offset + Math.sign(offset);
    assert.equal(
      outcomeOf(await judge(text, undefined, { nowSeconds: beyond })),
      "timestamp_out_of_range",
    );
  }
});

Deno.test("what is as old as a forgotten id is refused, whatever the clock says", async () => {
  const text = await message("1");
  const forgottenSeconds = 1_727_712_000;
  const outcome = outcomeOf(await judge(text, undefined, { forgottenSeconds }));
  assert.equal(outcome, "timestamp_out_of_range");
  const newer = outcomeOf(await judge(text, undefined, { forgottenSeconds: forgottenSeconds - 1 }));
  assert.equal(newer, "accepted");
});

Deno.test("while catching up, what was fresh since the gateway was last there is accepted", async () => {
  const text = await message("1"); // of 1727712000
  const sent = 1_727_712_000;
  const at = async (outageSinceSeconds: number | undefined, nowSeconds: number) =>
    outcomeOf(await judge(text, undefined, { outageSinceSeconds, nowSeconds }));
  assert.equal(await at(undefined, sent + 3_600), "timestamp_out_of_range");
  assert.equal(await at(sent - 10, sent + 3_600), "accepted");
  assert.equal(await at(sent + 300, sent + 3_600), "accepted");
  assert.equal(await at(sent + 301, sent + 3_600), "timestamp_out_of_range", "older than the mark");
  assert.equal(await at(sent - 10, sent + 86_400 + 300), "accepted");
  assert.equal(
    await at(sent - 10, sent + 86_400 + 301),
    "timestamp_out_of_range",
    "the grace ends",
  );
  assert.equal(
    await at(sent + 9_999, sent + 301),
    "timestamp_out_of_range",
    "a mark from the future",
  );
  assert.equal(await at(sent - 10, sent - 301), "timestamp_out_of_range", "too early all the same");
  const forgotten = {
    outageSinceSeconds: sent - 10,
    nowSeconds: sent + 3_600,
    forgottenSeconds: sent,
  };
  assert.equal(outcomeOf(await judge(text, undefined, forgotten)), "timestamp_out_of_range");
});

Deno.test("a rejection says how far its timestamp is from the clock, and which way", async () => {
  const text = await message("1");
  const sent = 1_727_712_000;
  const secondsOff = async (nowSeconds: number) => {
    const verdict = await judge(text, undefined, { nowSeconds });
    return verdict.kind === "rejected" ? verdict.secondsOff : undefined;
  };
  assert.equal(await secondsOff(sent + 300), undefined);
  assert.equal(await secondsOff(sent + 301), -301);
  assert.equal(await secondsOff(sent - 300), undefined);
  assert.equal(await secondsOff(sent - 3_900), 3_900);
});

Deno.test("a repeated delivery of a stored message is a duplicate, even late", async () => {
  const text = await message("1");
  const stored = { remembered: true, redelivered: true };
  assert.equal(outcomeOf(await judge(text, undefined, stored)), "duplicate");
  const late = outcomeOf(await judge(text, undefined, { ...stored, nowSeconds: NOW + 9_999 }));
  assert.equal(late, "duplicate");
  const unsigned = await message("1", { signed: "2" });
  assert.equal(outcomeOf(await judge(unsigned, undefined, stored)), "invalid_signature");
});

Deno.test("every code has its sentence, word for word", () => {
  const sentences = REJECTION_CODES.map((code) =>
    rejectionSentence({ kind: "rejected", code, detail: "what, where" }, "sensor_001")
  );
  assert.deepEqual(sentences, [
    "Rejected message from sensor_001: Malformed message: what, where",
    "Rejected message: device_id mismatch with TLS identity",
    "Rejected message from sensor_001: Unknown device",
    "Rejected message from sensor_001: Device revoked",
    "Rejected message from sensor_001: Invalid signature",
    "Rejected message from sensor_001: Timestamp out of range",
    "Rejected message from sensor_001: Replayed message",
    "Rejected message from sensor_001: Rate limit exceeded",
  ]);
});

Deno.test("a malformed message is described by place, never by what stands there", async () => {
  const good = await message('{"t":1}');
  const cases: [string, RegExp][] = [
    [
      good.replace('"payload":', '"pay\\u006coad":1,"payload":'),
      /"payload" appears twice, at byte/,
    ],
    [good.replace('"payload":{"t":1},', ""), /"payload" is missing, in the object/],
    [good.replace("{", '{"hunter2":1,'), /a field that is not part of a message, at byte 1/],
    [
      good.replace(/"timestamp":\d+/, '"timestamp":172771200'),
      /"timestamp" is not a number of ten digits/,
    ],
    [good + " x", /text after the object, at byte \d+/],
    [good.slice(0, -20), /unexpected end, at byte \d+/],
    ["﻿" + good, /byte order mark, at byte 0/],
    [" ".repeat(65_537), /65537 bytes, at most 65536 allowed/],
  ];
  for (const [text, detail] of cases) {
    const read = readEnvelope(new TextEncoder().encode(text));
    assert.ok(read.kind === "rejected" && read.code === "malformed", text);
    assert.match(read.detail, detail);
    assert.doesNotMatch(read.detail, /hunter2/);
  }
});
