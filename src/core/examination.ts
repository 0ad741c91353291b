/**
 * What a message is before anything is known of its id: refused, or a candidate for admission.
 *
 * The rules are:
 * - checks 1 to 4 come first, since they need no key: a flood of them costs no HMAC;
 * - the gateway and `verify` both call this and then `admit`, so that they judge alike.
 */

import type { Candidate, Examined } from "./admission.ts";
import type { Envelope } from "./envelope.ts";
import type { DeviceKeys } from "./ports.ts";
import type { Rejection } from "./rejection.ts";
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
): Promise<Examined> {
  const { identity, retained, redelivered, arrivedMs } = arrival;
  if (read.kind === "rejected") {
    return { kind: "refused", identity, messageId: undefined, rejection: read };
  }
  const { deviceId, messageId } = read;
  const nowSeconds = secondsOf(arrivedMs);
  const status = keys.statusOf(deviceId, nowSeconds);
  const rejection = decideOrigin(read, { identity, retained, status });
  if (rejection) return { kind: "refused", identity, messageId, rejection };
  const signedPayload = await keys.signedPayload(read, nowSeconds);
  return { kind: "candidate", identity, envelope: read, signedPayload, redelivered, arrivedMs };
}
