/**
 * The policy: which messages get through. This file alone orders the checks.
 *
 * The rules are:
 * - the checks are made in the order of `REJECTION_CODES`; the first that fails decides;
 * - nothing in a message is trusted or remembered before its signature has verified;
 * - if the broker delivers a stored message again, that is a duplicate and not an attack, however
 *   late it comes;
 * - `freshness.ts` decides which timestamps are in range.
 */

import type { DeviceStatus } from "./device.ts";
import type { Envelope } from "./envelope.ts";
import type { FreshRange } from "./freshness.ts";
import { reject, type Rejection } from "./rejection.ts";

/** A message that goes to the backend, with the payload bytes that its signature covers. */
export interface Accepted {
  readonly kind: "accepted";
  readonly payload: Uint8Array;
}

/** A message that is already stored and that the broker delivers again. */
export interface Duplicate {
  readonly kind: "duplicate";
}

export type Verdict = Accepted | Duplicate | Rejection;

/** What is known of a message before any key is used. */
interface OriginFacts {
  /** The TLS identity behind the topic, unchanged. */
  readonly identity: string;
  /** True if the broker's RETAIN flag is set: it kept the message for later subscribers. */
  readonly retained: boolean;
  /** The registry's status of the device named in the message. */
  readonly status: DeviceStatus;
}

/** What is known of a message after the device's secrets were tried. */
interface SignedFacts {
  /** The payload bytes under a signature that verified; undefined if none did. */
  readonly signedPayload: Uint8Array | undefined;
  /** True if the broker says that it delivers the message again (MQTT-3.3.1-1, DUP). */
  readonly redelivered: boolean;
  /** The timestamps that may be accepted. */
  readonly range: FreshRange;
  /** True if this device has used this message_id before. */
  readonly remembered: boolean;
  /** True if the device is below its rate. */
  readonly withinRate: boolean;
}

/** Checks 1 to 4, which need no key: a rejection, or undefined if the signature is next. */
export function decideOrigin(envelope: Envelope, facts: OriginFacts): Rejection | undefined {
  if (facts.retained) return reject("malformed", "retained, in the broker's flags");
  if (envelope.deviceId !== facts.identity) return reject("identity_mismatch");
  switch (facts.status) {
    case "unknown":
      return reject("unknown_device");
    case "revoked":
    case "expired":
      return reject("device_revoked");
    case "active":
      return undefined;
    default:
      return facts.status satisfies never;
  }
}

/** Checks 5 to 8: the verdict on a message that passed `decideOrigin`. */
export function decideSigned(envelope: Envelope, facts: SignedFacts): Verdict {
  if (facts.signedPayload === undefined) return reject("invalid_signature");
  if (facts.remembered && facts.redelivered) return { kind: "duplicate" };
  const { range: { oldest, newest, nowSeconds } } = facts;
  const { timestampSeconds } = envelope;
  if (timestampSeconds < oldest || timestampSeconds > newest) {
    return { ...reject("timestamp_out_of_range"), secondsOff: timestampSeconds - nowSeconds };
  }
  if (facts.remembered) return reject("replayed");
  if (!facts.withinRate) return reject("rate_limited");
  return { kind: "accepted", payload: facts.signedPayload };
}
