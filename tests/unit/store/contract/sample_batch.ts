/** Messages as the pipeline commits them, without a pipeline. */

import type { Candidate } from "../../../../src/core/admission.ts";
import type { Settlement } from "../../../../src/core/delivery.ts";
import { type Envelope, readEnvelope } from "../../../../src/core/envelope.ts";
import type { Batch, MessageStore } from "../../../../src/core/ports.ts";
import type { Store } from "../../../../src/store/store.ts";
import type { CommandLimits } from "../../../../src/store/store.ts";
import { NOW } from "../../../support/judge.ts";
import { COMMANDS_KEPT } from "../../../support/pipeline_store.ts";

const SIGNATURE = "0".repeat(64);

/** Keeps everything that these tests write. */
const LIMITS = {
  deadLetters: { maxCount: 10_000, maxAgeMs: 1e12 },
  audit: { maxCount: 10_000, maxAgeMs: 1e12 },
  commands: COMMANDS_KEPT,
};

/** The messages of a store, with limits that nothing here reaches. */
export function messagesOf(
  store: Store,
  deadLettersMaxCount = 10_000,
  commands: Partial<CommandLimits> = {},
  rememberSeconds = 0,
): MessageStore {
  const deadLetters = { ...LIMITS.deadLetters, maxCount: deadLettersMaxCount };
  return store.messages({
    ...LIMITS,
    deadLetters,
    commands: { ...COMMANDS_KEPT, ...commands },
    checks: { rememberSeconds },
  });
}

/** A message of a device whose signature is said to have verified. */
export function candidate(
  deviceId: string,
  over: {
    messageId?: string;
    timestamp?: number;
    text?: string;
    redelivered?: boolean;
    verified?: boolean;
  } = {},
): Candidate {
  const { messageId = crypto.randomUUID(), text = "{}", redelivered = false } = over;
  const { timestamp = NOW } = over;
  const envelope = readEnvelope(
    new TextEncoder().encode(
      `{"device_id":"${deviceId}","timestamp":${timestamp},"message_id":"${messageId}",` +
        `"payload":${text},"signature":"${SIGNATURE}"}`,
    ),
  ) as Envelope;
  return {
    kind: "candidate",
    identity: deviceId,
    envelope,
    signedPayload: over.verified === false ? undefined : envelope.payload,
    redelivered,
    arrivedMs: NOW * 1000,
  };
}

/** A batch at the moment `NOW`. */
export function batch(over: Partial<Batch>): Batch {
  return {
    examined: [],
    registryRevision: undefined,
    settlements: [],
    notes: [],
    held: [],
    commandChanges: [],
    buckets: new Map(),
    policy: { toleranceSeconds: 300, graceSeconds: 0, rate: undefined },
    facts: { outageSinceSeconds: undefined, monotonicMs: 0 },
    wallMs: NOW * 1000,
    acceptedMs: NOW * 1000,
    attendedSeconds: undefined,
    tidy: undefined,
    ...over,
  };
}

/** Accepts a message and dead-letters it; resolves to its number. */
export async function deadLetter(
  messages: MessageStore,
  deviceId: string,
  over: { text?: string; atMs?: number } = {},
): Promise<number> {
  const { committed: [one] } = await messages.commit(batch({
    examined: [candidate(deviceId, { text: over.text ?? "1" })],
  }));
  if (one?.kind !== "accepted") throw new Error(`It is ${one?.kind}`);
  const { sequence } = one.entry;
  const cause = { status: 422, reason: "refused", deadLetteredAtMs: over.atMs ?? NOW * 1000 };
  const settlements: Settlement[] = [{ sequence, deadLetter: cause }];
  await messages.commit(batch({ settlements }));
  return sequence;
}
