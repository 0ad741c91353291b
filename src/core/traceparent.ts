/**
 * The `traceparent` field of W3C Trace Context (https://www.w3.org/TR/trace-context/), version 00.
 *
 * The rules are:
 * - the trace id is the message_id's 128 bits, so that every try of a message, the backend's own
 *   spans and the log of the gateway have one id; a UUID version 4 is never all zero;
 * - the parent id is fresh for each try, which tells the tries apart; nobody exports a span of it;
 * - `sampled` is set: who switches this on wants the traces, and most samplers follow their parent;
 * - `random` is not set: the ids are the devices', and nobody vouches for their randomness.
 */

/** Bytes of a parent id. */
export const PARENT_ID_BYTES = 8;

/** The field of one try; `parentId` has 8 bytes, which must be random. */
export function traceparentOf(messageId: string, parentId: Uint8Array): string {
  const traceId = messageId.replaceAll("-", "").toLowerCase();
  const parent = parentId.some((byte) => byte !== 0) ? parentId.toHex() : NOT_ZERO;
  return `00-${traceId}-${parent}-01`;
}

/** All zero is no parent id. */
const NOT_ZERO = "0000000000000001";
