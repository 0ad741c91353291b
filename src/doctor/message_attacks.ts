/** What a registered device sends to the gateway: one good message is accepted, nothing else. */

import { faultText } from "../core/fault_text.ts";
import { shownUrl } from "../core/endpoint.ts";
import { TRIAL_PAYLOAD } from "./backend_checks.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { DAY_SECONDS, secondsOf } from "../core/time.ts";
import { type Check, type CheckOutcome, fail, pass, passUnless, skip, warn } from "./check.ts";
import type { TestSession } from "./test_session.ts";
import { UPGRADE_REMEDY } from "./topic_attacks.ts";
import { temporaryId } from "./temporary_device.ts";

/** The attacks that need no good message. */
export const MESSAGE_ATTACKS: readonly Check<TestSession>[] = [
  { name: "unsigned message", look: rejectsUnsigned },
  { name: "tampered message", look: rejectsTampered },
  { name: "message of another", look: rejectsForeignId },
  { name: "stale message", look: rejectsStale },
  { name: "receipt", look: sendsReceipt },
];

/** The one message that reaches the backend, and what is done with it afterwards. */
export const DELIVERY_CHECKS: readonly Check<TestSession>[] = [
  { name: "good message", look: deliversValid },
  { name: "replayed message", look: rejectsReplayed },
];

/** Whether another client could receive these messages or take them from the gateway; runs last. */
export const SHARED_SUBSCRIPTION_CHECK: Check<TestSession> = {
  name: "shared subscription",
  look: sharedSubscription,
};

/** What the gateway needs besides the backend's own time. */
const OWN_TIME_MS = 5_000;
const BUG_REMEDY =
  "Stop the gateway (systemctl stop secure-iot-gateway) and report this, see SECURITY.md";
/** Where the gateway says more. */
export const LOG_REMEDY = "See the gateway's log: journalctl -u secure-iot-gateway";

async function rejectsUnsigned(session: TestSession): Promise<CheckOutcome> {
  const { message } = await session.device.sign(TRIAL_PAYLOAD);
  return await refusal(session, message.replace(/,"signature":"[^"]*"/, ""), "malformed");
}

async function rejectsTampered(session: TestSession): Promise<CheckOutcome> {
  const { message } = await session.device.sign(TRIAL_PAYLOAD);
  return await refusal(session, message.replace("a trial", "no trial"), "invalid_signature");
}

async function rejectsForeignId(session: TestSession): Promise<CheckOutcome> {
  const { message } = await session.device.sign(TRIAL_PAYLOAD, { deviceId: temporaryId() });
  return await refusal(session, message, "identity_mismatch");
}

/** Older than the gateway accepts even after an outage. */
async function rejectsStale(session: TestSession): Promise<CheckOutcome> {
  const { toleranceSeconds, graceSeconds } = session.site.config.checks;
  const age = toleranceSeconds + graceSeconds + DAY_SECONDS;
  const timestamp = secondsOf(Date.now()) - age;
  const { message } = await session.device.sign(TRIAL_PAYLOAD, { timestamp });
  return await refusal(session, message, "timestamp_out_of_range");
}

/** Of the messages before. */
async function sendsReceipt({ device, site }: TestSession): Promise<CheckOutcome> {
  if (site.config.receipts.send === "off") return pass('off: receipts.send is "off"');
  try {
    const { payload, valid } = await device.receipt({ timeoutMs: OWN_TIME_MS });
    if (!valid) return fail("a receipt has a wrong signature", BUG_REMEDY);
    return pass(`the device is told why its message was refused, signed: ${payload}`);
  } catch {
    return warn(
      "a device is not told why its message was refused: no receipt came",
      UPGRADE_REMEDY,
    );
  }
}

async function deliversValid(session: TestSession): Promise<CheckOutcome> {
  const { device, site } = session;
  const { timeoutMs, url } = site.config.backend;
  const beganMs = performance.now();
  const signed = await device.send(TRIAL_PAYLOAD);
  session.accepted = signed;
  const waitMs = timeoutMs + OWN_TIME_MS;
  try {
    const { status } = await device.response(signed.messageId, { timeoutMs: waitMs });
    const tookMs = Math.ceil(performance.now() - beganMs);
    session.arrived++;
    return pass(`${shownUrl(url)} answered ${status}, and the answer was back after ${tookMs} ms`);
  } catch {
    return fail(
      `no answer of ${shownUrl(url)} came back within ${waitMs / 1000} s`,
      "See delivery_retried in the gateway's log: journalctl -u secure-iot-gateway",
    );
  }
}

async function rejectsReplayed(session: TestSession): Promise<CheckOutcome> {
  const { accepted } = session;
  if (!accepted) return skip("no good message was sent");
  return await refusal(session, accepted.message, "replayed");
}

function sharedSubscription({ eavesdropper, arrived }: TestSession): CheckOutcome {
  const heard = eavesdropper.responses.length + eavesdropper.commandsWaiting;
  return passUnless(heard === 0 ? [] : [`${heard} messages of other devices were received`], {
    observed: `granted, but nothing is received; the gateway got all ${arrived} messages`,
    remedy: "Restart the broker with this site's access lists: systemctl restart mosquitto",
  });
}

async function refusal(
  session: TestSession,
  message: string,
  code: RejectionCode,
): Promise<CheckOutcome> {
  await session.device.publish(message);
  try {
    const { detail, sequence } = await session.nextRejection();
    const observed = `refused: ${detail}, audit entry ${sequence}`;
    return detail === code ? pass(observed) : fail(`${observed}, not ${code}`, BUG_REMEDY);
  } catch (error) {
    return fail(`no rejection seen: ${faultText(error)}`, LOG_REMEDY);
  }
}
