/** A backend that takes batches, as an answer for the sample backend. */

import type { Reading } from "../../src/demo/sandbox/sample_backend.ts";

/** One item of a batch as it came. */
interface ReceivedItem {
  readonly device_id: string;
  readonly message_id: string;
  readonly timestamp: number;
  readonly late_seconds?: number;
  readonly traceparent?: string;
  readonly payload: unknown;
}

/** What the backend says of one item. */
interface SaidOfItem {
  readonly message_id: string;
  readonly status: number;
  readonly body?: unknown;
}

/** The items of a batch. */
export function itemsOf({ text }: Pick<Reading, "text">): ReceivedItem[] {
  return JSON.parse(text);
}

/** What a request brought, byte for byte: the readings of a batch, or the one that it is. */
export function carriedBy(
  reading: Reading,
): readonly Pick<Reading, "deviceId" | "messageId" | "body">[] {
  if (reading.path !== "/batch") return [reading];
  const texts = reading.text.slice(1, -1).split(/(?<=\}),(?=\{"device_id":)/);
  return itemsOf(reading).map(({ device_id, message_id }, place) => ({
    deviceId: device_id,
    messageId: message_id,
    body: new TextEncoder().encode(texts[place]!.replace(/^.*?"payload":/, "").slice(0, -1)),
  }));
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
