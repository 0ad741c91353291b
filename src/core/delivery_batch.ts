/**
 * Readings that go to the backend in one request.
 *
 * The rules are:
 * - the body is a JSON array; each payload is in it byte for byte as it was signed;
 * - the key of a batch is of its message ids, so that a repetition of the same batch has the same key;
 * - of one device only what comes before its first "again" is settled: what comes after goes
 *   again, whatever its status, so that the order is kept.
 */

import { joined } from "./bytes.ts";
import { type Answer, dispositionOf, type Outcome } from "./delivery.ts";
import { lateSeconds } from "./freshness.ts";
import type { OutboxEntry } from "./outbox_entry.ts";

/** How large a batch may be. */
export interface BatchLimits {
  /** Most entries. */
  readonly max: number;
  /** Bytes of its body, unless a single entry has more. */
  readonly bytes: number;
}

/** What came of a batch. */
export type BatchOutcome =
  /** Each entry has its own outcome, in the order in which they went. */
  | { readonly kind: "items"; readonly answer: Answer; readonly outcomes: readonly Outcome[] }
  /** No answer, or one that is not 2xx: it is of the whole. */
  | { readonly kind: "whole"; readonly outcome: Outcome }
  /** A 2xx whose body is not as agreed. */
  | { readonly kind: "invalid"; readonly answer: Answer; readonly reason: string };

/** What an item may have beside its payload and its comma: names, ids and numbers. */
const ITEM_FIELDS_MAX_BYTES = 320;

const TEXT = new TextEncoder();

/** The bytes that an entry takes in a batch, at most. */
export function itemBytes({ payload }: Pick<OutboxEntry, "payload">): number {
  return payload.length + ITEM_FIELDS_MAX_BYTES;
}

/** What tells the entries of a batch apart in its answer; a UUID's case does not matter. */
export function itemKey({ messageId }: Pick<OutboxEntry, "messageId">): string {
  return messageId.toLowerCase();
}

/** The body of a batch; `nowSeconds` is the wall clock, `traceparent` of an item, if it has one. */
export function batchBody(
  entries: readonly OutboxEntry[],
  { traceparent, ...clock }: {
    readonly nowSeconds: number;
    readonly toleranceSeconds: number;
    readonly traceparent?: ((entry: OutboxEntry) => string) | undefined;
  },
): Uint8Array<ArrayBuffer> {
  const parts: Uint8Array[] = [];
  for (const [place, entry] of entries.entries()) {
    const { deviceId, messageId, timestamp, payload } = entry;
    const late = lateSeconds(Number(timestamp), clock.nowSeconds, clock.toleranceSeconds);
    const fields = [
      `"device_id":${JSON.stringify(deviceId)}`,
      `"message_id":${JSON.stringify(messageId)}`,
      `"timestamp":${timestamp}`,
      ...(late === undefined ? [] : [`"late_seconds":${late}`]),
      ...(traceparent === undefined ? [] : [`"traceparent":"${traceparent(entry)}"`]),
    ];
    parts.push(TEXT.encode(`${place === 0 ? "[" : "},"}{${fields.join()},"payload":`), payload);
  }
  parts.push(TEXT.encode("}]"));
  return joined(parts);
}

/** The key of a batch: hex SHA-256 of its message ids, joined by line feeds. */
export async function batchKey(entries: readonly OutboxEntry[]): Promise<string> {
  const ids = TEXT.encode(entries.map(({ messageId }) => messageId).join("\n"));
  return new Uint8Array(await crypto.subtle.digest("SHA-256", ids)).toHex();
}

/** How many of one device's outcomes, in their order, come before the first "again". */
export function settledCount(
  outcomes: readonly Outcome[],
  retryStatuses: ReadonlySet<number>,
): number {
  const again = outcomes.findIndex((outcome) => dispositionOf(outcome, retryStatuses) === "retry");
  return again === -1 ? outcomes.length : again;
}
