/**
 * What a message is before anything is known of its id: refused, or a candidate for admission.
 *
 * The rules are:
 * - checks 1 to 4 come first, since they need no key: a flood of them costs no HMAC;
 * - the gateway and `verify` both call this and then `admit`, so that they judge alike.
 */

import { readAcknowledgement } from "./acknowledgement.ts";
import type { Candidate, Examined, ExaminedReading, Refused } from "./admission.ts";
import type { Envelope } from "./envelope.ts";
import type { DeviceKeys } from "./ports.ts";
import { reject, type Rejection } from "./rejection.ts";
import { secondsOf } from "./time.ts";
import { decideOrigin } from "./verdict.ts";

/** How a message came. */
interface Arrival extends Pick<Candidate, "identity" | "redelivered" | "arrivedMs"> {
  /** The broker's RETAIN flag. */
  readonly retained: boolean;
}

/** Examines what `readEnvelope` has made of a message. */
export async function examine(
  read: Envelope | Rejection,
  arrival: Arrival,
  keys: Pick<DeviceKeys, "statusOf" | "signedPayload">,
): Promise<ExaminedReading> {
  const { identity, redelivered, arrivedMs } = arrival;
  const origin = examineOrigin(read, arrival, keys);
  if (origin.kind === "refused") return origin;
  const signedPayload = await keys.signedPayload(origin, secondsOf(arrivedMs), "message");
  return { kind: "candidate", identity, envelope: origin, signedPayload, redelivered, arrivedMs };
}

/** Examines a message from an acknowledgement topic. */
export async function examineAcknowledgement(
  read: Envelope | Rejection,
  arrival: Arrival,
  keys: Pick<DeviceKeys, "statusOf" | "signedPayload">,
): Promise<Examined> {
  const { identity } = arrival;
  const origin = examineOrigin(read, arrival, keys);
  if (origin.kind === "refused") return origin;
  const { messageId, timestamp } = origin;
  const receivedSeconds = secondsOf(arrival.arrivedMs);
  const refuse = (rejection: Rejection): Examined => (
    { kind: "refused", identity, messageId, rejection }
  );
  const payload = await keys.signedPayload(origin, receivedSeconds, "acknowledgement");
  if (payload === undefined) return refuse(reject("invalid_signature"));
  const said = readAcknowledgement(payload);
  if (!said.ok) return refuse(reject("malformed", said.fault));
  const acknowledgement = { state: said.state, receivedSeconds, timestamp, payload };
  return { kind: "acknowledgement", identity, messageId, acknowledgement };
}

/** The envelope, or why it is refused before any key is used. */
function examineOrigin(
  read: Envelope | Rejection,
  { identity, retained, arrivedMs }: Arrival,
  keys: Pick<DeviceKeys, "statusOf">,
): Envelope | Refused {
  if (read.kind === "rejected") {
    const { messageId, ...rejection } = read;
    return { kind: "refused", identity, messageId, rejection };
  }
  const status = keys.statusOf(read.deviceId, secondsOf(arrivedMs));
  const rejection = decideOrigin(read, { identity, retained, status });
  if (rejection) return { kind: "refused", identity, messageId: read.messageId, rejection };
  return read;
}
