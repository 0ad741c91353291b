/** What a registered device says to the gateway: one good message goes through, nothing else. */

import type { RejectionCode } from "../core/rejection.ts";
import {
  type Check,
  type CheckOutcome,
  failed,
  messageOf,
  ok,
  passUnless,
  skipped,
} from "./check.ts";
import type { TestSession } from "./test_session.ts";
import { temporaryId } from "./temporary_device.ts";

/** The attacks that need no good message. */
export const MESSAGE_ATTACKS: readonly Check<TestSession>[] = [
  { name: "unsigned message", look: unsigned },
  { name: "tampered message", look: tampered },
  { name: "message of another", look: impostor },
  { name: "stale message", look: stale },
];

/** The one message that reaches the backend, and what is done with it afterwards. */
export const DELIVERY_CHECKS: readonly Check<TestSession>[] = [
  { name: "good message", look: delivery },
  { name: "replayed message", look: replayed },
];

/** Whether anybody has heard or swallowed a message of these; goes last. */
export const SPY_CHECK: Check<TestSession> = { name: "shared subscription", look: shared };

/** What the backend gets. */
export const TRIAL_PAYLOAD = '{"doctor":"a trial, to be ignored"}';

const DAY_SECONDS = 86_400;
/** What the gateway needs besides the backend's own time. */
const OWN_TIME_MS = 5_000;
const MEND = "The gateway does not do what it promises: stop it, and report this";

async function unsigned(conversation: TestSession): Promise<CheckOutcome> {
  const { message } = await conversation.device.sign(TRIAL_PAYLOAD);
  return await refusal(conversation, message.replace(/,"signature":"[^"]*"/, ""), "malformed");
}

async function tampered(conversation: TestSession): Promise<CheckOutcome> {
  const { message } = await conversation.device.sign(TRIAL_PAYLOAD);
  return await refusal(conversation, message.replace("a trial", "no trial"), "invalid_signature");
}

async function impostor(conversation: TestSession): Promise<CheckOutcome> {
  const { message } = await conversation.device.sign(TRIAL_PAYLOAD, { deviceId: temporaryId() });
  return await refusal(conversation, message, "identity_mismatch");
}

/** Older than whatever the gateway forgives after an outage. */
async function stale(conversation: TestSession): Promise<CheckOutcome> {
  const { toleranceSeconds, graceSeconds } = conversation.site.config.checks;
  const age = toleranceSeconds + graceSeconds + DAY_SECONDS;
  const timestamp = Math.floor(Date.now() / 1000) - age;
  const { message } = await conversation.device.sign(TRIAL_PAYLOAD, { timestamp });
  return await refusal(conversation, message, "timestamp_out_of_range");
}

async function delivery(conversation: TestSession): Promise<CheckOutcome> {
  const { device, site } = conversation;
  const { timeoutMs, url } = site.config.backend;
  const beganMs = performance.now();
  const signed = await device.send(TRIAL_PAYLOAD);
  conversation.accepted = signed;
  const waitMs = timeoutMs + OWN_TIME_MS;
  try {
    const { status } = await device.response(signed.messageId, { timeoutMs: waitMs });
    const tookMs = Math.ceil(performance.now() - beganMs);
    conversation.arrived++;
    return ok(`${url} answered ${status}, and the answer was back after ${tookMs} ms`);
  } catch {
    return failed(
      `no answer of ${url} came back within ${waitMs / 1000} s`,
      "See the gateway's log, retried: it says what the backend answers, or why it does not",
    );
  }
}

async function replayed(conversation: TestSession): Promise<CheckOutcome> {
  const { accepted } = conversation;
  if (!accepted) return skipped("no good message was sent");
  return await refusal(conversation, accepted.message, "replayed");
}

function shared({ spy, arrived }: TestSession): CheckOutcome {
  const heard = spy.responses.length + spy.commandsWaiting;
  return passUnless(heard === 0 ? [] : [`${heard} messages of others were heard`], {
    observed: `granted, and nothing is heard; the gateway has had all ${arrived} messages`,
    remedy: "Restart the broker with the access lists of this site",
  });
}

async function refusal(
  conversation: TestSession,
  message: string,
  code: RejectionCode,
): Promise<CheckOutcome> {
  await conversation.device.publish(message);
  try {
    const { detail, sequence } = await conversation.nextWord();
    const observed = `refused: ${detail}, audit entry ${sequence}`;
    return detail === code ? ok(observed) : failed(`${observed}, not ${code}`, MEND);
  } catch (error) {
    return failed(`not observed to be refused: ${messageOf(error)}`, MEND);
  }
}
