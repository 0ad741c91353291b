/** A forwarder by itself, with a backend that is the test's. */

import type { Outcome, Settlement } from "../../src/core/delivery.ts";
import { Forwarder } from "../../src/gateway/pipeline/forwarder.ts";
import { RETRY_STATUSES, statusesOf } from "../../src/core/retry_statuses.ts";
import type { OutboxEntry } from "../../src/core/outbox_entry.ts";

/** Events that the tests do not look at. */
const QUIET: readonly string[] = ["delivery_started", "backend_outcome", "message_delivered"];

/** A forwarder whose backend is `post`; everything it does is written down. */
export function forwarderWith(
  post: (entry: OutboxEntry, stop: AbortSignal) => Outcome | Promise<Outcome>,
  over: {
    monotonicMs?: () => number;
    concurrency?: number;
    giveUpAfterMs?: number;
    respond?: () => Promise<boolean>;
  } = {},
) {
  const posts: string[] = [];
  const settlements: Settlement[] = [];
  const events: string[] = [];
  const stored = new Map<number, OutboxEntry>();
  let wanted = 0;
  let enough = Promise.withResolvers<void>();
  const forwarder = new Forwarder(
    {
      clock: { wallMs: () => 1_000, monotonicMs: over.monotonicMs ?? (() => 0) },
      steadyMs: () => 1_000,
      failpoint: () => {},
      random: () => 0,
      emit: (event) => {
        if (event.kind === "message_dead_lettered") events.push(`${event.kind}: ${event.reason}`);
        else if (!QUIET.includes(event.kind)) events.push(event.kind);
      },
      backend: {
        deliver: async (entry, stop) => {
          posts.push(`${entry.deviceId}${entry.sequence}`);
          return await post(entry, stop);
        },
        deliverBatch: () => Promise.reject(new Error("Batches are off")),
      },
      store: {
        read: (sequences) =>
          Promise.resolve(sequences.flatMap((sequence) => stored.get(sequence) ?? [])),
      },
      responder: { respond: over.respond ?? (() => Promise.resolve(true)) },
      committer: {
        settle: (settlement) => {
          settlements.push(settlement);
          if (settlements.length >= wanted) enough.resolve();
        },
      },
    },
    {
      concurrency: over.concurrency ?? 8,
      batch: undefined,
      hasCallbacks: false,
      retryFirstMs: 2,
      retryLongestMs: 8,
      giveUpAfterMs: over.giveUpAfterMs ?? 60_000,
      retryStatuses: statusesOf(RETRY_STATUSES),
    },
  );
  const settled = async (count: number) => {
    enough = Promise.withResolvers();
    wanted = count;
    if (settlements.length < count) await enough.promise;
  };
  /** As the intake does: into the store, then to the forwarder. */
  const take = (entry: OutboxEntry) => {
    stored.set(entry.sequence, entry);
    forwarder.add(entry);
  };
  return { forwarder, take, posts, settlements, events, stored, settled };
}

/** An entry of a device. */
export function entry(deviceId: string, sequence: number): OutboxEntry {
  return {
    deviceId,
    sequence,
    messageId: crypto.randomUUID(),
    timestamp: "1727712000",
    acceptedMs: 0,
    payload: new Uint8Array([0x31]),
  };
}
