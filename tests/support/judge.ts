/** The decision core as the gateway runs it, for tests: message in, verdict out, nothing stored. */

import { admit } from "../../src/core/admission.ts";
import type { DeviceStatus } from "../../src/core/device.ts";
import { readEnvelope } from "../../src/core/envelope.ts";
import { examine } from "../../src/core/examination.ts";
import type { FreshnessFacts } from "../../src/core/freshness.ts";
import { importSecret, type SecretKey, sign } from "../../src/core/signature.ts";
import { signedPayloadOf } from "../../src/core/signed_payload.ts";
import { signingInput } from "../../src/core/signing_input.ts";
import { originOf } from "../../src/core/topic.ts";
import type { Verdict } from "../../src/core/verdict.ts";

export const SECRET = "supersecretkey123";
export const DEVICE_ID = "sensor_001";
export const NOW = 1_727_712_050;
export const TIMESTAMP = "1727712000";
export const MESSAGE_ID = "550e8400-e29b-41d4-a716-446655440000";

const KEYS = new Map<string, Promise<SecretKey | undefined>>();

const RATE = { perSecond: 1, burst: 1 };

/** What may be other than usual: a live message of a device that never sent one. */
export interface Facts extends FreshnessFacts {
  readonly topic: string;
  readonly retained: boolean;
  readonly redelivered: boolean;
  readonly status: DeviceStatus;
  readonly remembered: boolean;
  readonly withinRate: boolean;
}

/** The verdict on a message of a registry given as `{ id: secret }`; `over` replaces facts. */
export async function judge(
  message: string | Uint8Array,
  registered: Readonly<Record<string, string>> = { [DEVICE_ID]: SECRET },
  over: Partial<Facts> = {},
): Promise<Verdict> {
  const bytes = typeof message === "string" ? new TextEncoder().encode(message) : message;
  const { nowSeconds = NOW, outageSinceSeconds, forgottenSeconds = 0 } = over;
  const { topic = `device/${DEVICE_ID}/data`, retained = false, redelivered = false } = over;
  const secretOf = (id: string) => Object.hasOwn(registered, id) ? registered[id] : undefined;
  const arrivedMs = nowSeconds * 1000;
  const arrival = { identity: originOf(topic).identity, retained, redelivered, arrivedMs };
  const examined = await examine(readEnvelope(bytes), arrival, {
    statusOf: (id) => over.status ?? (secretOf(id) === undefined ? "unknown" : "active"),
    signedPayload: async (envelope) => {
      const secret = secretOf(envelope.deviceId);
      return secret === undefined ? undefined : signedPayloadOf(envelope, await keyOf(secret));
    },
  });
  const tokens = over.withinRate === false ? 0 : RATE.burst;
  const { decided } = admit([examined], { has: () => over.remembered === true }, {
    buckets: new Map([[DEVICE_ID, { tokens, atMs: 0 }]]),
    policy: { toleranceSeconds: 300, graceSeconds: 86_400, rate: RATE },
    facts: { outageSinceSeconds, forgottenSeconds, monotonicMs: 0 },
  });
  return decided[0]!.verdict;
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
