/**
 * Why a message was refused.
 *
 * The rules are:
 * - the codes are in the order of the checks; the first check that fails decides;
 * - a code is never renamed, reordered or reused for something else: operators' alarms use them;
 * - the sentence is in the log word for word.
 */

/** Every rejection code, in order of precedence. */
export const REJECTION_CODES = [
  "malformed",
  "identity_mismatch",
  "unknown_device",
  "device_revoked",
  "invalid_signature",
  "timestamp_out_of_range",
  "replayed",
  "rate_limited",
] as const;

export type RejectionCode = typeof REJECTION_CODES[number];

/** A refused message: its code and, for a malformed one, what is wrong and where. */
export interface Rejection {
  readonly kind: "rejected";
  readonly code: RejectionCode;
  /** What is wrong and where; empty except for `malformed`. */
  readonly detail: string;
  /** The timestamp less the gateway's clock, seconds. Only if it is out of range. */
  readonly secondsOff?: number;
  /** Only of a malformed message, if its id could be read. */
  readonly messageId?: string;
}

/** Makes a rejection; `detail` only goes with `malformed`. */
export function reject(code: RejectionCode, detail = ""): Rejection {
  return { kind: "rejected", code, detail };
}

/** The sentence for the log: `Rejected message from sensor_001: Replayed message`. */
export function rejectionSentence(rejection: Rejection, identity: string): string {
  const from = `Rejected message from ${identity}`;
  switch (rejection.code) {
    case "malformed":
      return `${from}: Malformed message: ${rejection.detail}`;
    case "identity_mismatch":
      return "Rejected message: device_id mismatch with TLS identity";
    case "unknown_device":
      return `${from}: Unknown device`;
    case "device_revoked":
      return `${from}: Device revoked`;
    case "invalid_signature":
      return `${from}: Invalid signature`;
    case "timestamp_out_of_range":
      return `${from}: Timestamp out of range`;
    case "replayed":
      return `${from}: Replayed message`;
    case "rate_limited":
      return `${from}: Rate limit exceeded`;
    default:
      return rejection.code satisfies never;
  }
}
