/**
 * What a device is told of a message of its own: refused and why, or what the backend did with it.
 *
 * The rules are:
 * - a receipt has the form of a command, and is signed as a receipt;
 * - it names the message by its id, or by the nil UUID if no id could be read.
 */

import type { Rejection, RejectionCode } from "./rejection.ts";

/** When receipts are sent: never, for refused messages, or for what becomes of each one. */
export const RECEIPT_MODES = ["off", "rejected", "all"] as const;
export type ReceiptMode = typeof RECEIPT_MODES[number];

/** Receipts of refused messages that one device may get at once. */
export const RECEIPTS_BURST = 5;

/** Stands for the id of a message of which none could be read. */
const NIL_MESSAGE_ID = "00000000-0000-0000-0000-000000000000";

/** Where a message is that the gateway has accepted before. */
export type Held =
  /** In the outbox. */
  | "pending"
  /** A dead letter. */
  | "dead"
  /** Delivered, or dropped by the operator. */
  | "settled";

/** What a receipt says. */
export type ReceiptPayload =
  | {
    readonly result: "rejected";
    readonly code: RejectionCode;
    /** Only with `malformed`: what is wrong, and where. */
    readonly detail?: string;
    /** Only with `replayed`. */
    readonly held?: Held;
  }
  /** `sha256`: of the response's body, hex. */
  | { readonly result: "delivered"; readonly status: number; readonly sha256: string }
  | { readonly result: "dead"; readonly status: number };

/** Every result of a receipt. */
export const RECEIPT_RESULTS = ["rejected", "delivered", "dead"] as const;
export type ReceiptResult = typeof RECEIPT_RESULTS[number];

/** Why a receipt was not sent. */
export const RECEIPT_DROPS = [
  /** The device has had as many as its limits allow. */
  "limit",
  /** Too many are on their way. */
  "queue",
  /** The broker is not connected, or did not acknowledge it. */
  "broker",
  /** The broker has refused it, or the one before it. */
  "refused",
  /** The store could not be read, or the device has no key. */
  "store",
] as const;
export type ReceiptDrop = typeof RECEIPT_DROPS[number];

/** The receipt's payload for a rejection; `held` goes with `replayed`. */
export function rejectedPayload({ code, detail }: Rejection, held?: Held): ReceiptPayload {
  return {
    result: "rejected",
    code,
    ...(code === "malformed" && { detail }),
    ...(held !== undefined && { held }),
  };
}

/** The id by which a receipt names its message. */
export function receiptMessageId(messageId: string | undefined): string {
  return messageId ?? NIL_MESSAGE_ID;
}

/** True if no secret vouches for a message that is refused so: anybody may have made it. */
export function isUnverified(code: RejectionCode): boolean {
  return code === "malformed" || code === "identity_mismatch" || code === "invalid_signature";
}
