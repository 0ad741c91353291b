import assert from "node:assert/strict";
import { writeCommand } from "../../../src/core/command.ts";
import { REJECTION_CODES } from "../../../src/core/rejection.ts";
import { bytesOfHex, importKey, importSecret, sign, verify } from "../../../src/core/signature.ts";
import { signingInput } from "../../../src/core/signing_input.ts";
import uplink from "../../vectors/uplink.json" with { type: "json" };
import commands from "../../vectors/command.json" with { type: "json" };
import wycheproof from "../../vectors/wycheproof/hmac_sha256_test.json" with { type: "json" };
import { judge, outcomeOf } from "../../support/judge.ts";

const UTF_8 = new TextEncoder();
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A vector with a key that nobody reads would be a vector that tests less than it says. */
function assertKeys(vector: object, required: string[], optional: string[] = []): void {
  const keys = Object.keys(vector);
  for (const key of required) assert.ok(keys.includes(key), `${key} is missing`);
  for (const key of keys) {
    assert.ok([...required, ...optional].includes(key), `${key}: unknown key in a vector`);
  }
}

Deno.test("there are uplink vectors, and every code before replayed has one", () => {
  assert.ok(uplink.length >= 48);
  const expectations = new Set(uplink.map(({ expect }) => expect));
  const known = ["accepted", ...REJECTION_CODES];
  for (const expect of expectations) assert.ok(known.includes(expect), `${expect}: unknown`);
  for (const code of ["malformed", "identity_mismatch", "unknown_device", "invalid_signature"]) {
    assert.ok(expectations.has(code), code);
  }
});

for (const vector of uplink) {
  Deno.test(`uplink vector: ${vector.name}: ${vector.expect}`, async () => {
    assertKeys(
      vector,
      ["name", "registered", "topic", "now", "message", "expect"],
      ["forwarded_body", "why"],
    );
    const { topic, now: nowSeconds } = vector;
    const verdict = await judge(vector.message, vector.registered, { topic, nowSeconds });
    assert.equal(outcomeOf(verdict), vector.expect);
    const forwarded = verdict.kind === "accepted" ? text(verdict.payload) : undefined;
    assert.equal(forwarded, vector.forwarded_body);
  });
}

for (const vector of commands) {
  Deno.test(`command vector: ${vector.name}`, async () => {
    const { name: _name, secret, message, signing_input, payload, signature, ...rest } = vector;
    assertKeys(rest, ["device_id", "timestamp", "message_id"]);
    const { device_id: deviceId, message_id: messageId } = rest;
    const timestamp = String(rest.timestamp);
    const input = signingInput({ deviceId, timestamp, messageId }, UTF_8.encode(payload));
    assert.equal(text(input), signing_input);
    assert.equal(await sign((await importSecret(secret))!, input), signature);
    const written = writeCommand({
      timestamp,
      messageId,
      payload: UTF_8.encode(payload),
      signature,
    });
    assert.equal(text(written), message);
  });
}

for (const group of wycheproof.testGroups) {
  Deno.test(`Wycheproof HMAC-SHA256, ${group.keySize}-bit keys, ${group.tagSize}-bit tags`, async () => {
    for (const { tcId, key, msg, tag, result } of group.tests) {
      assert.ok(result === "valid" || result === "invalid", `${tcId}: ${result}`);
      const secretKey = await importKey(bytesOfHex(key)!);
      const whole = group.tagSize === 256;
      const verified = await verify(secretKey, bytesOfHex(msg)!, bytesOfHex(tag)!);
      // A tag that was cut short is no signature here, however right its bytes are.
      assert.equal(verified, whole && result === "valid", `${tcId}`);
      if (!whole || result !== "valid") continue;
      assert.equal(await sign(secretKey, bytesOfHex(msg)!), tag, `${tcId}`);
      assert.equal(bytesOfHex(tag.toUpperCase())!.toHex(), tag);
    }
  });
}
