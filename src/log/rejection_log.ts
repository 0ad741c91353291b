/**
 * Limits the rate of the lines about rejections: up to a rate, each has its own; then one event
 * counts the rest.
 *
 * The rules are:
 * - up to 100 lines a second for each code; the rest of that second is summed up in one event;
 * - nothing is dropped silently: what is not in a line of its own is in a sum.
 */

import type { EventOf } from "../core/event.ts";
import type { RejectionCode } from "../core/rejection.ts";

/** Lines a second for one code. */
export const LINES_PER_SECOND = 100;

/** What gets a line: a rejection, or the sum of those that get none. */
type Write = (event: EventOf<"message_rejected" | "messages_rejected">) => void;

/** The rejections' part of the log. */
export class RejectionLog {
  readonly #write: Write;
  readonly #lines = new Map<RejectionCode, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(write: Write) {
    this.#write = write;
  }

  /** Writes or counts one rejection. */
  add(event: EventOf<"message_rejected">): void {
    const { code } = event.rejection;
    const lines = (this.#lines.get(code) ?? 0) + 1;
    this.#lines.set(code, lines);
    this.#timer ??= setTimeout(() => this.flush(), 1000);
    if (lines <= LINES_PER_SECOND) this.#write(event);
  }

  /** Ends the second: writes the sums. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [code, lines] of this.#lines) {
      const count = lines - LINES_PER_SECOND;
      if (count > 0) this.#write({ kind: "messages_rejected", code, count });
    }
    this.#lines.clear();
  }
}
