import assert from "node:assert/strict";
import { admit, type Buckets, type Candidate, type Refused } from "../../../src/core/admission.ts";
import { type Envelope, readEnvelope } from "../../../src/core/envelope.ts";
import { reject } from "../../../src/core/rejection.ts";
import { DEVICE_ID, message, MESSAGE_ID, NOW, outcomeOf, TIMESTAMP } from "../../support/judge.ts";

const NOTHING_KNOWN = { has: () => false };
const POLICY = { toleranceSeconds: 300, graceSeconds: 86_400, rate: undefined };
const FACTS = { outageSinceSeconds: undefined, forgottenSeconds: 0, monotonicMs: 0 };
const NO_BUCKETS: Buckets = new Map();
const FRESH = { buckets: NO_BUCKETS, policy: POLICY, facts: FACTS };
const RATED = { ...FRESH, policy: { ...POLICY, rate: { perSecond: 1, burst: 2 } } };

/** A message with a signature that verified. */
async function candidate(
  messageId: string = crypto.randomUUID(),
  over: Partial<Candidate> & { timestamp?: string } = {},
): Promise<Candidate> {
  const timestamp = over.timestamp ?? TIMESTAMP;
  const bytes = new TextEncoder().encode(await message("{}", { messageId, timestamp }));
  const envelope = readEnvelope(bytes) as Envelope;
  return {
    kind: "candidate",
    identity: DEVICE_ID,
    envelope,
    signedPayload: envelope.payload,
    redelivered: false,
    arrivedMs: NOW * 1000,
    ...over,
  };
}

function outcomes(admission: ReturnType<typeof admit>): string[] {
  return admission.decided.map(({ verdict }) => outcomeOf(verdict));
}

Deno.test("admit() refuses the second of two messages with one id in a batch, in either case", async () => {
  const batch = [await candidate(MESSAGE_ID), await candidate(MESSAGE_ID.toUpperCase())];
  assert.deepEqual(outcomes(admit(batch, NOTHING_KNOWN, FRESH)), ["accepted", "replayed"]);
});

Deno.test("admit() takes one id from two devices", async () => {
  const other = await candidate(MESSAGE_ID);
  const envelope = { ...other.envelope, deviceId: "sensor_002" };
  const batch = [await candidate(MESSAGE_ID), { ...other, identity: "sensor_002", envelope }];
  assert.deepEqual(outcomes(admit(batch, NOTHING_KNOWN, FRESH)), ["accepted", "accepted"]);
});

Deno.test("admit() refuses an id that is known, and calls a redelivered one a duplicate", async () => {
  const known = { has: (_device: string, id: string) => id === MESSAGE_ID };
  const batch = [await candidate(MESSAGE_ID), await candidate(MESSAGE_ID, { redelivered: true })];
  assert.deepEqual(outcomes(admit(batch, known, FRESH)), ["replayed", "duplicate"]);
});

Deno.test("admit() asks for no id of a message whose signature did not verify", async () => {
  const known = { has: () => assert.fail("it was asked") };
  const batch = [await candidate(MESSAGE_ID, { signedPayload: undefined })];
  assert.deepEqual(outcomes(admit(batch, known, FRESH)), ["invalid_signature"]);
});

Deno.test("admit() hands on whose message was refused before any key was used", () => {
  const refused: Refused = {
    kind: "refused",
    identity: "sensor_009",
    messageId: MESSAGE_ID,
    rejection: reject("unknown_device"),
  };
  const [decided] = admit([refused], NOTHING_KNOWN, FRESH).decided;
  assert.equal(decided?.identity, "sensor_009");
  assert.equal(decided?.messageId, MESSAGE_ID);
  assert.equal(outcomeOf(decided!.verdict), "unknown_device");
});

Deno.test("admit() takes a token for an accepted message only, and changes no bucket it is given", async () => {
  const batch = [
    await candidate(),
    await candidate(MESSAGE_ID, { signedPayload: undefined }),
    await candidate(),
    await candidate(),
  ];
  const admission = admit(batch, NOTHING_KNOWN, RATED);
  assert.deepEqual(outcomes(admission), [
    "accepted",
    "invalid_signature",
    "accepted",
    "rate_limited",
  ]);
  assert.equal(admission.spent.get(DEVICE_ID)?.tokens, 0);
  assert.equal(NO_BUCKETS.size, 0);
  assert.deepEqual(outcomes(admit([await candidate()], NOTHING_KNOWN, RATED)), ["accepted"]);
  const after = { ...RATED, buckets: admission.spent };
  assert.deepEqual(outcomes(admit([await candidate()], NOTHING_KNOWN, after)), ["rate_limited"]);
});

Deno.test("admit() takes a late message while catching up, and says that one came", async () => {
  const timestamp = String(NOW - 3_600);
  const late = await candidate(MESSAGE_ID, { timestamp });
  assert.deepEqual(outcomes(admit([late], NOTHING_KNOWN, FRESH)), ["timestamp_out_of_range"]);
  const facts = { ...FACTS, outageSinceSeconds: NOW - 3_600 };
  const admission = admit([late], NOTHING_KNOWN, { ...FRESH, facts });
  assert.deepEqual(outcomes(admission), ["accepted"]);
  assert.ok(admission.late);
  assert.ok(!admit([await candidate()], NOTHING_KNOWN, { ...FRESH, facts }).late);
});

Deno.test("admit() accepts nothing as old as a forgotten id", async () => {
  const facts = { ...FACTS, forgottenSeconds: Number(TIMESTAMP) };
  const admission = admit([await candidate()], NOTHING_KNOWN, { ...FRESH, facts });
  assert.deepEqual(outcomes(admission), ["timestamp_out_of_range"]);
});
