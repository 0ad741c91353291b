/**
 * `GET /ui/api/events`: what happens now, as Server-Sent Events (WHATWG HTML §9.2).
 *
 * The rules are:
 * - it ends with its client, its server and the gateway; the client asks again with Last-Event-ID;
 * - it ends with its key: what happens after the key was removed is not in it;
 * - what a slow client has not read waits in a bounded queue, and the rest is counted;
 * - with a limit, so many items a second are sent, in parts, and the rest is summed up by its kind:
 *   a flood costs those who look, and the gateway, no more than that;
 * - a comment goes out while nothing happens, so that a client that is gone is noticed.
 */

import { isDeviceId } from "../../core/device.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { EventFeed, FeedBatch, FeedFollower, FeedSelection } from "../telemetry/event_feed.ts";
import { problem } from "./problem.ts";

/** Longest silence, milliseconds. */
const SILENCE_MS = 15_000;

/** How long a client waits before it asks again, milliseconds. */
const RETRY_MS = 2_000;

/** Most items a second that a limit may say, and how often a part of them is sent, milliseconds. */
const LIMIT_MAX = 1_000;
const PART_MS = 250;

/** What may be asked for besides the plain items. */
const EXTRAS = ["payloads", "rejected"] as const;

/** Whose stream it is, of what, and when it ends. */
interface StreamRequest {
  readonly key: ApiKey;
  /** False once the key was removed. */
  keyStands(): Promise<boolean>;
  readonly request: Request;
  readonly stop: AbortSignal;
}

/** Answers with a stream that does not end by itself. */
export function streamEvents(
  { key, keyStands, request, stop }: StreamRequest,
  feed: Pick<EventFeed, "follow">,
): Response {
  const query = new URL(request.url).searchParams;
  const deviceId = query.get("device") ?? undefined;
  const extras = query.get("with")?.split(",") ?? [];
  const limit = query.get("limit") ?? undefined;
  if (limit !== undefined && !isLimit(limit)) {
    return problem("bad-query", { detail: `limit: a number from 1 to ${LIMIT_MAX}` });
  }
  if (!extras.every((extra) => (EXTRAS as readonly string[]).includes(extra))) {
    return problem("bad-query", { detail: `with: of ${EXTRAS.join(", ")}, joined by commas` });
  }
  if (deviceId !== undefined && !(isDeviceId(deviceId) && reaches(key, deviceId))) {
    return problem("unknown-device");
  }
  const headers = { "content-type": "text/event-stream", "cache-control": "no-store" };
  // RFC 9110 §9.3.2: nothing would ever read what it follows.
  if (request.method === "HEAD") return new Response(null, { headers });
  const follower = feed.follow(
    {
      owner: key.name,
      deviceIds: deviceId === undefined ? key.deviceIds : [deviceId],
      payloads: extras.includes("payloads"),
      rejectedMessages: extras.includes("rejected"),
      after: request.headers.get("last-event-id") ?? undefined,
      queueMax: limit === undefined ? undefined : Math.ceil(Number(limit) * PART_MS / 1000),
    } satisfies FeedSelection,
  );
  if (follower === undefined) {
    return problem("too-many-watchers", { headers: { "retry-after": "10" } });
  }
  const pauseMs = limit === undefined ? 0 : PART_MS;
  return new Response(streamOf(follower, { keyStands, stop, pauseMs }), { headers });
}

function streamOf(
  follower: FeedFollower,
  { keyStands, stop, pauseMs }: Pick<StreamRequest, "keyStands" | "stop"> & {
    /** How long items are gathered before they are sent. */
    readonly pauseMs: number;
  },
): ReadableStream<Uint8Array> {
  const gone = new AbortController();
  const end = AbortSignal.any([stop, gone.signal]);
  let said = `retry: ${RETRY_MS}\n\n`;
  return new ReadableStream({
    async pull(controller) {
      if (said === "") said = textOf(await follower.next(SILENCE_MS, end, pauseMs));
      const isShown = await keyStands().catch(() => false); // its store is closed
      if (isShown) controller.enqueue(new TextEncoder().encode(said));
      said = "";
      if (isShown && !end.aborted && !follower.isOver) return;
      follower.end();
      controller.close();
    },
    cancel() {
      gone.abort();
      follower.end();
    },
  }, { highWaterMark: 0 });
}

function isLimit(text: string): boolean {
  return /^[1-9][0-9]{0,3}$/.test(text) && Number(text) <= LIMIT_MAX;
}

function textOf({ items, omitted }: FeedBatch): string {
  const events = items.map(({ id, kind, ...item }) =>
    `id: ${id}\nevent: ${kind}\ndata: ${JSON.stringify(item)}\n\n`
  );
  if (omitted.size > 0) {
    const count = [...omitted.values()].reduce((sum, one) => sum + one);
    const kinds = Object.fromEntries(omitted);
    events.push(`event: omitted\ndata: ${JSON.stringify({ count, kinds })}\n\n`);
  }
  return events.length > 0 ? events.join("") : ": nothing\n\n";
}
