/** A backend that takes batches, as an answer for the sample backend. */

import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";

/** One item of a batch as it came. */
export interface ReceivedItem {
  readonly device_id: string;
  readonly message_id: string;
  readonly timestamp: number;
  readonly late_seconds?: number;
  readonly payload: unknown;
}

/** What the backend says of one item. */
export interface SaidOfItem {
  readonly message_id: string;
  readonly status: number;
  readonly body?: unknown;
}

/** The items of a batch. */
export function itemsOf({ text }: Pick<Reading, "text">): ReceivedItem[] {
  return JSON.parse(text);
}

/** The answer that says something of each item that is not left out. */
export function answerItems(
  reading: Reading,
  say: (item: ReceivedItem) => Omit<SaidOfItem, "message_id"> | undefined,
): Response {
  const items = itemsOf(reading).flatMap((item) => {
    const said = say(item);
    return said === undefined ? [] : [{ message_id: item.message_id, ...said }];
  });
  return Response.json({ items });
}
