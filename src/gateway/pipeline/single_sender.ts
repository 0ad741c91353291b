/** Sends entries in requests of their own. */

import type { Outcome } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import { isCallback, type OutboxEntry } from "../../core/outbox_entry.ts";
import type { Backend } from "../../core/ports.ts";
import type { Lane } from "./lanes.ts";

/** What the sender works with. */
interface SingleSenderParts {
  readonly steadyMs: () => number;
  readonly backend: Pick<Backend, "deliver">;
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** The sender. */
export class SingleSender {
  readonly #parts: SingleSenderParts;

  constructor(parts: SingleSenderParts) {
    this.#parts = parts;
  }

  /** Sends the first entry of a lane. */
  async send(lane: Lane, entry: OutboxEntry, stop: AbortSignal): Promise<Outcome> {
    const { steadyMs, backend, emit, failpoint } = this.#parts;
    const isFirst = ++lane.tries === 1 && entry.sequence > lane.requeuedUpTo;
    const waitedMs = isFirst && !isCallback(entry)
      ? Math.max(0, steadyMs() - entry.acceptedMs)
      : undefined;
    emit({ kind: "delivery_started", entry, waitedMs });
    const delivered = backend.deliver(entry, stop);
    failpoint(isCallback(entry) ? "callback_posted" : "posted");
    const outcome = await delivered;
    failpoint(isCallback(entry) ? "callback_answered" : "answered");
    return outcome;
  }
}
