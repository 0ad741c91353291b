/** Makes and sends batches, and says what is wrong with an answer that is not as agreed. */

import type { Outcome } from "../../core/delivery.ts";
import type { BatchLimits, BatchOutcome } from "../../core/delivery_batch.ts";
import type { Emit } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import type { Backend } from "../../core/ports.ts";
import type { Clock } from "../../time/clock.ts";
import { BatchCollector, type BatchShare } from "./batch_collector.ts";
import type { LaneReader } from "./lane_reader.ts";
import type { Lane } from "./lanes.ts";
import { Reminder } from "./reminder.ts";

/** What the sender works with. */
interface BatchSenderParts {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly steadyMs: () => number;
  readonly backend: Pick<Backend, "deliverBatch">;
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** The sender. */
export class BatchSender {
  readonly #parts: BatchSenderParts;
  readonly #collector: BatchCollector;
  /** When to say it again; undefined while answers are as agreed. */
  #reminder: Reminder | undefined;

  constructor(parts: BatchSenderParts, reader: LaneReader, limits: BatchLimits) {
    this.#parts = parts;
    this.#collector = new BatchCollector(reader, limits);
  }

  /** Each lane's share of one batch. */
  async collect(lanes: readonly Lane[]): Promise<BatchShare[]> {
    return await this.#collector.collect(lanes);
  }

  /** Sends the shares in one request. */
  async send(shares: readonly BatchShare[], stop: AbortSignal): Promise<BatchOutcome> {
    const { backend, emit, failpoint } = this.#parts;
    for (const share of shares) this.#start(share);
    const entries = shares.flatMap((share) => share.entries);
    const delivered = backend.deliverBatch(entries, stop);
    failpoint("posted");
    const outcome = await delivered;
    failpoint("answered");
    emit({
      kind: "backend_outcome",
      outcome: outcome.kind === "whole" ? outcome.outcome : outcome.answer,
    });
    if (outcome.kind === "invalid") this.#say(outcome.reason, entries.length);
    else if (outcome.kind === "items") this.#reminder = undefined;
    return outcome;
  }

  #start({ lane, entries }: BatchShare): void {
    lane.tries++;
    for (const entry of entries) {
      const isFirst = entry.sequence > lane.requeuedUpTo;
      const waitedMs = isFirst ? Math.max(0, this.#parts.steadyMs() - entry.acceptedMs) : undefined;
      if (isFirst) lane.requeuedUpTo = entry.sequence;
      this.#parts.emit({ kind: "delivery_started", entry, waitedMs });
    }
  }

  #say(reason: string, count: number): void {
    const nowMs = this.#parts.clock.monotonicMs();
    if (this.#reminder?.isDue(nowMs) === false) return;
    this.#reminder ??= new Reminder(nowMs);
    this.#parts.emit({ kind: "batch_answer_invalid", reason, count });
  }
}

/** What a batch says of the backend: as one of its items would have it, if none was taken. */
export function wholeOf(batch: BatchOutcome, isAgain: (outcome: Outcome) => boolean): Outcome {
  switch (batch.kind) {
    case "whole":
      return batch.outcome;
    case "invalid":
      return { kind: "no_answer", reason: `its answer is not as agreed: ${batch.reason}` };
    case "items":
      return batch.outcomes.every(isAgain) ? batch.outcomes[0]! : batch.answer;
  }
}
