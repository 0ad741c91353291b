/** The vectors for devices are what the core makes, and what the gateway receives is judged so. */

import assert from "node:assert/strict";
import { readEnvelope } from "../../src/core/envelope.ts";
import { examineAcknowledgement } from "../../src/core/examination.ts";
import { importSecret } from "../../src/core/signature.ts";
import { signedPayloadOf } from "../../src/core/signed_payload.ts";
import {
  type DeviceVector,
  deviceVectors,
  vectorPath,
  vectorText,
} from "../kits/device_vectors.ts";
import { VECTOR_KINDS } from "../kits/vector_bends.ts";
import { judge } from "../support/judge.ts";

const UTF_8 = new TextEncoder();
const secretOf = ({ key }: DeviceVector) => new TextDecoder().decode(Uint8Array.fromHex(key));

Deno.test("the files of vectors are what the core makes: deno task vectors", async () => {
  for (const kind of VECTOR_KINDS) {
    assert.equal(await Deno.readTextFile(vectorPath(kind)), await vectorText(kind), kind);
  }
});

Deno.test("the gateway judges each reading as its vector says", async () => {
  for (const vector of (await deviceVectors("reading")).testGroups[0].tests) {
    const { deviceId, msg, now: nowSeconds, result, comment } = vector;
    const topic = `device/${deviceId}/data`;
    const verdict = await judge(msg, { [deviceId]: secretOf(vector) }, { topic, nowSeconds });
    assert.equal(verdict.kind === "accepted", result === "valid", comment);
  }
});

Deno.test("the gateway judges each acknowledgement as its vector says", async () => {
  for (const vector of (await deviceVectors("acknowledgement")).testGroups[0].tests) {
    const { deviceId, msg, now, result, comment } = vector;
    const key = await importSecret(secretOf(vector));
    assert.ok(key);
    const arrival = {
      identity: deviceId,
      retained: false,
      redelivered: false,
      arrivedMs: now * 1000,
    };
    const examined = await examineAcknowledgement(readEnvelope(UTF_8.encode(msg)), arrival, {
      statusOf: (id) => id === deviceId ? "active" : "unknown",
      signedPayload: (envelope, _, kind) => signedPayloadOf(envelope, key, kind),
    });
    assert.equal(examined.kind === "acknowledgement", result === "valid", comment);
  }
});
