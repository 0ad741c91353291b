/**
 * The decision, from bytes to verdict, step by step; `deno task bench-core`.
 *
 * Where the time goes, and why it is spent so:
 * - reading allocates the envelope, four short texts and a 32-byte signature, and nothing that
 *   grows with the payload: the scanner walks bytes and builds no values, the payload is a view of
 *   the message (`subarray`), and `compactJson` returns its input where there is no white space;
 * - it is faster than `JSON.parse`, which builds the values, takes doubled fields, and cannot say
 *   which bytes were signed;
 * - verifying builds one buffer, the signing input; Web Crypto then works on a thread of its own,
 *   which is why a batch is verified together;
 * - deciding allocates the verdicts, and an entry of a set for each id.
 */

import { createHmac, createSecretKey, timingSafeEqual } from "node:crypto";
import { admit, type Candidate, type ExaminedReading } from "../../src/core/admission.ts";
import { readEnvelope } from "../../src/core/envelope.ts";
import type { Envelope } from "../../src/core/envelope.ts";
import { examine } from "../../src/core/examination.ts";
import { compactJson, JsonScanner } from "../../src/core/json_scanner.ts";
import { importSecret } from "../../src/core/signature.ts";
import { signedPayloadOf } from "../../src/core/signed_payload.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { signMessages } from "./signed_messages.ts";

const DEPTH_MAX = 64;
const BATCH = 100;
const UTF_8 = new TextEncoder();
const TEXT = new TextDecoder("utf-8", { fatal: true });

const device = { deviceId: "bench_00000", secret: "a secret that is long enough" };
const key = await importSecret(device.secret);
const nodeKey = createSecretKey(UTF_8.encode(device.secret));
const nowSeconds = Math.floor(Date.now() / 1000);
const messages = (await signMessages(device, BATCH)).map(({ text }) => UTF_8.encode(text));
const message = messages[0]!;
const envelopes = messages.map((bytes) => readEnvelope(bytes) as Envelope);

/** 16 KiB, as from a sensor that sends a batch of readings. */
const large = UTF_8.encode(JSON.stringify({
  readings: Array.from({ length: 400 }, (_, i) => ({ at: i, celsius: 22.5, unit: "°C" })),
}));
const spaced = UTF_8.encode(JSON.stringify(JSON.parse(TEXT.decode(large)), null, 2));

Deno.bench({
  name: "scan a message of 250 bytes",
  group: "scan",
  baseline: true,
  fn: () => void new JsonScanner(message, DEPTH_MAX).value(0),
});

Deno.bench({
  name: "JSON.parse the same",
  group: "scan",
  fn: () => void JSON.parse(TEXT.decode(message)),
});

Deno.bench({
  name: "JSON.parse and JSON.stringify the same, as the reference script does",
  group: "scan",
  fn: () => void UTF_8.encode(JSON.stringify(JSON.parse(TEXT.decode(message)).payload)),
});

Deno.bench({
  name: "scan a payload of 16 KiB",
  group: "scan large",
  baseline: true,
  fn: () => void new JsonScanner(large, DEPTH_MAX).value(0),
});

Deno.bench({
  name: "JSON.parse the same",
  group: "scan large",
  fn: () => void JSON.parse(TEXT.decode(large)),
});

Deno.bench({
  name: "compact what is compact",
  group: "compact 16 KiB",
  baseline: true,
  fn: () => void compactJson(large),
});

Deno.bench({
  name: "compact what is indented",
  group: "compact 16 KiB",
  fn: () => void compactJson(spaced),
});

Deno.bench({
  name: "JSON.parse and JSON.stringify what is indented",
  group: "compact 16 KiB",
  fn: () => void UTF_8.encode(JSON.stringify(JSON.parse(TEXT.decode(spaced)))),
});

Deno.bench({
  name: "read an envelope",
  group: "read",
  fn: () => void readEnvelope(message),
});

Deno.bench({
  name: `verify ${BATCH} together (Web Crypto)`,
  group: "verify",
  baseline: true,
  async fn() {
    await Promise.all(envelopes.map((one) => signedPayloadOf(one, key)));
  },
});

Deno.bench({
  name: `verify ${BATCH}, one after the other`,
  group: "verify",
  async fn() {
    for (const one of envelopes) await signedPayloadOf(one, key);
  },
});

Deno.bench({
  name: `verify ${BATCH} with node:crypto`,
  group: "verify",
  fn() {
    for (const one of envelopes) {
      const input = signingInput(one, one.compactPayload);
      const signature = createHmac("sha256", nodeKey).update(input).digest();
      if (!timingSafeEqual(signature, one.signature)) throw new Error("a signature is wrong");
    }
  },
});

const arrival = {
  identity: device.deviceId,
  retained: false,
  redelivered: false,
  arrivedMs: nowSeconds * 1000,
};
const keys = {
  statusOf: () => "active" as const,
  signedPayload: (one: Envelope) => signedPayloadOf(one, key),
};
const state = {
  buckets: new Map(),
  policy: { toleranceSeconds: 300, graceSeconds: 0, rate: undefined },
  facts: { outageSinceSeconds: undefined, forgottenSeconds: 0, monotonicMs: 0 },
};
const candidates = envelopes.map((one): Candidate => ({
  ...arrival,
  kind: "candidate",
  envelope: one,
  signedPayload: one.compactPayload,
}));

function decide(batch: readonly ExaminedReading[]): void {
  const { decided } = admit(batch, { has: () => false }, state);
  if (decided.some(({ verdict }) => verdict.kind !== "accepted")) {
    throw new Error("a message was not accepted");
  }
}

Deno.bench({
  name: `decide on ${BATCH}`,
  group: "decide",
  fn: () => decide(candidates),
});

Deno.bench({
  name: `the whole decision on ${BATCH} messages`,
  group: "whole",
  async fn() {
    decide(await Promise.all(messages.map((one) => examine(readEnvelope(one), arrival, keys))));
  },
});
