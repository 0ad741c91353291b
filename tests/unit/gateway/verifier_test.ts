import assert from "node:assert/strict";
import type { Examined } from "../../../src/core/admission.ts";
import type { DeviceStatus } from "../../../src/core/device.ts";
import type { Envelope } from "../../../src/core/envelope.ts";
import { importSecret } from "../../../src/core/signature.ts";
import { signedPayloadOf } from "../../../src/core/signed_payload.ts";
import { Verifier } from "../../../src/gateway/pipeline/verifier.ts";
import { DEVICE_ID, message, MESSAGE_ID, NOW, SECRET } from "../../support/judge.ts";
import { inbound } from "../../support/inbound_message.ts";

/** What the verifier makes of messages, and what it asked the keys for. */
async function examine(
  texts: readonly string[],
  over: { status?: DeviceStatus; retained?: boolean; identity?: string } = {},
): Promise<{ examined: readonly Examined[]; asked: string[] }> {
  const asked: string[] = [];
  const key = importSecret(SECRET);
  const verifier = new Verifier({
    revision: 1,
    refresh: () => {
      asked.push("refresh");
      return Promise.resolve();
    },
    statusOf: () => over.status ?? "active",
    signedPayload: async (envelope: Envelope) => {
      asked.push("signature");
      return await signedPayloadOf(envelope, await key);
    },
  });
  const { retained = false, identity = DEVICE_ID } = over;
  const batch = texts.map((text) => ({
    message: { ...inbound(text), retained, redelivered: true },
    ...{ kind: "reading", identity } as const,
    arrivedMs: NOW * 1000,
  }));
  return { ...await verifier.examine(batch), asked };
}

Deno.test("a signed message is a candidate, with the bytes under its signature", async () => {
  const { examined: [one] } = await examine([await message('{"v": 1}', { signed: '{"v":1}' })]);
  assert.ok(one?.kind === "candidate");
  assert.equal(new TextDecoder().decode(one.signedPayload), '{"v":1}');
  const { identity, redelivered, arrivedMs } = one;
  assert.deepEqual([identity, redelivered, arrivedMs], [DEVICE_ID, true, NOW * 1000]);
});

Deno.test("a signature that does not verify makes a candidate without signed bytes", async () => {
  const { examined: [one] } = await examine([await message("1", { secret: "another" })]);
  assert.ok(one?.kind === "candidate");
  assert.equal(one.signedPayload, undefined);
});

Deno.test("what checks 1 to 4 refuse costs no HMAC", async () => {
  const good = await message("1");
  const refusals = [
    ["{", {}, "malformed", undefined],
    [good, { retained: true }, "malformed", MESSAGE_ID],
    [good, { identity: "other" }, "identity_mismatch", MESSAGE_ID],
    [good, { status: "unknown" }, "unknown_device", MESSAGE_ID],
    [good, { status: "revoked" }, "device_revoked", MESSAGE_ID],
  ] as const;
  for (const [text, over, code, messageId] of refusals) {
    const { examined: [one], asked } = await examine([text], over);
    assert.ok(one?.kind === "refused");
    assert.deepEqual([one.rejection.code, one.messageId, asked], [code, messageId, ["refresh"]]);
  }
});

Deno.test("a batch is examined in its order, under a registry that was refreshed once before", async () => {
  const { examined, asked } = await examine([await message("1"), "{", await message("2")]);
  assert.deepEqual(examined.map(({ kind }) => kind), ["candidate", "refused", "candidate"]);
  assert.deepEqual(asked, ["refresh", "signature", "signature"]);
});
