/** The decision core as the gateway runs it, for tests: message in, verdict out, nothing stored. */

import { readEnvelope } from "../../src/core/envelope.ts";
import { type FreshnessFacts, freshRange } from "../../src/core/freshness.ts";
import { importSecret, type SecretKey, sign } from "../../src/core/signature.ts";
import { signedPayloadOf } from "../../src/core/signed_payload.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { identityOf } from "../../src/core/topic.ts";
import { decide, type Facts, type Verdict } from "../../src/core/verdict.ts";

export const SECRET = "supersecretkey123";
export const DEVICE_ID = "sensor_001";
export const NOW = 1_727_712_050;
export const TIMESTAMP = "1727712000";
export const MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000";

const KEYS = new Map<string, Promise<SecretKey | undefined>>();

/** The verdict on a message of a registry given as `{ id: secret }`; `over` replaces facts. */
export async function judge(
  message: string | Uint8Array,
  registered: Readonly<Record<string, string>> = { [DEVICE_ID]: SECRET },
  over: Partial<Facts> & Partial<FreshnessFacts> & { topic?: string } = {},
): Promise<Verdict> {
  const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
  const envelope = readEnvelope(bytes);
  if (envelope.kind === "rejected") return envelope;
  const secret = Object.hasOwn(registered, envelope.deviceId)
    ? registered[envelope.deviceId]
    : undefined;
  const key = secret === undefined ? undefined : await keyOf(secret);
  return decide(envelope, {
    identity: identityOf(over.topic ?? `device/${DEVICE_ID}/data`),
    retained: false,
    status: secret === undefined ? "unknown" : "active",
    signedPayload: await signedPayloadOf(envelope, key),
    redelivered: false,
    range: freshRange({
      nowSeconds: over.nowSeconds ?? NOW,
      outageSinceSeconds: over.outageSinceSeconds,
      forgottenSeconds: over.forgottenSeconds ?? 0,
    }, { toleranceSeconds: 300, graceSeconds: 86_400 }),
    remembered: false,
    withinRate: true,
    ...over,
  });
}

/** A message around `payload`, signed over `signed` (the payload itself where not given). */
export async function message(
  payload: string,
  over: {
    deviceId?: string;
    timestamp?: string;
    messageId?: string;
    signed?: string;
    secret?: string;
  } = {},
): Promise<string> {
  const deviceId = over.deviceId ?? DEVICE_ID;
  const timestamp = over.timestamp ?? TIMESTAMP;
  const messageId = over.messageId ?? MESSAGE_ID;
  const signed = new TextEncoder().encode(over.signed ?? payload);
  const input = signingInput({ deviceId, timestamp, messageId }, signed);
  const signature = await sign((await keyOf(over.secret ?? SECRET))!, input);
  return `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
    `"payload":${payload},"signature":"${signature}"}`;
}

/** "accepted", "duplicate" or the rejection's code. */
export function outcomeOf(verdict: Verdict): string {
  return verdict.kind === "rejected" ? verdict.code : verdict.kind;
}

function keyOf(secret: string): Promise<SecretKey | undefined> {
  const key = KEYS.get(secret) ?? importSecret(secret);
  KEYS.set(secret, key);
  return key;
}
