/**
 * How an entry leaves the outbox: its answer goes to the device, and then it is settled. The answer
 * to a callback goes to nobody.
 *
 * The lane does not wait for that, so the answers under way are counted here.
 */

import { type Answer, dispositionOf, keptAnswer, type Outcome } from "../../core/delivery.ts";
import type { Settlement } from "../../core/delivery.ts";
import type { Emit } from "../../core/event.ts";
import type { OnFailpoint } from "../../core/failpoint.ts";
import { isCallback, type OutboxEntry } from "../../core/outbox_entry.ts";
import type { Clock } from "../../time/clock.ts";

/** What the settler works with. */
export interface SettlerParts {
  readonly clock: Pick<Clock, "wallMs">;
  /** Brings an answer to the device; false if `stop` came first and the entry must stay. */
  readonly responder: {
    respond(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<boolean>;
  };
  readonly committer: { settle(settlement: Settlement): void };
  readonly emit: Emit;
  readonly failpoint: OnFailpoint;
}

/** The settler. */
export class Settler {
  readonly #parts: SettlerParts;
  readonly #retryStatuses: ReadonlySet<number>;
  #answering = 0;

  constructor(parts: SettlerParts, retryStatuses: ReadonlySet<number>) {
    this.#parts = parts;
    this.#retryStatuses = retryStatuses;
  }

  /** Answers that wait for the broker. */
  get answering(): number {
    return this.#answering;
  }

  /** Brings a final answer to the device, then settles the entry, unless `stop` comes first. */
  async answer(entry: OutboxEntry, answer: Answer, stop: AbortSignal): Promise<void> {
    if (isCallback(entry)) return this.#settle(entry, answer);
    this.#answering++;
    const responded = await this.#parts.responder.respond(entry, answer, stop);
    this.#answering--;
    this.#parts.failpoint("settling");
    if (responded) this.#settle(entry, answer);
  }

  /** Makes an entry a dead letter; `outcome` is undefined if it was not sent. */
  deadLetter(entry: OutboxEntry, reason: string, outcome?: Outcome): void {
    const deadLetteredAtMs = this.#parts.clock.wallMs();
    const status = outcome?.kind === "answer" ? outcome.status : undefined;
    const deadLetter = { status, reason, deadLetteredAtMs, answer: outcome && keptAnswer(outcome) };
    this.#parts.committer.settle({ sequence: entry.sequence, deadLetter });
    const kind = isCallback(entry) ? "callback_dead_lettered" : "message_dead_lettered";
    this.#parts.emit({ kind, entry, reason });
  }

  /** Another process has taken this entry out of the store. */
  skip(sequence: number): void {
    this.#parts.committer.settle({ sequence, deadLetter: undefined });
  }

  #settle(entry: OutboxEntry, answer: Answer): void {
    if (dispositionOf(answer, this.#retryStatuses) === "rejected") {
      return this.deadLetter(entry, `the backend refused it with status ${answer.status}`, answer);
    }
    this.#parts.committer.settle({ sequence: entry.sequence, deadLetter: undefined });
    this.#parts.emit({
      kind: isCallback(entry) ? "callback_delivered" : "message_delivered",
      entry,
    });
  }
}
