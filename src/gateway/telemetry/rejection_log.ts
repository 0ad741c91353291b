/**
 * Log lines for rejections: one each, up to a rate, and then one that counts the rest.
 *
 * The rules are:
 * - up to 100 lines a second for each code; the rest of that second is summed up in one line;
 * - nothing is dropped silently: what is not in a line of its own is in a sum.
 */

import type { EventOf } from "../../core/event.ts";
import { type RejectionCode, rejectionSentence } from "../../core/rejection.ts";
import type { Log } from "../../log/log.ts";

/** Lines a second for one code. */
export const LINES_PER_SECOND = 100;

/** Longest identity that is written out, in characters; a CN may be longer than any device id. */
const IDENTITY_MAX_CHARS = 80;

/** The rejections' part of the log. */
export class RejectionLog {
  readonly #log: Log;
  readonly #lines = new Map<RejectionCode, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(log: Log) {
    this.#log = log;
  }

  /** Writes or counts one rejection. */
  add({ rejection, identity }: Pick<EventOf<"message_rejected">, "rejection" | "identity">): void {
    const { code } = rejection;
    const lines = (this.#lines.get(code) ?? 0) + 1;
    this.#lines.set(code, lines);
    this.#timer ??= setTimeout(() => this.flush(), 1000);
    if (lines > LINES_PER_SECOND) return;
    const from = identity.slice(0, IDENTITY_MAX_CHARS);
    const message = rejectionSentence(rejection, from);
    this.#log("warning", "message_rejected", { message, code, device_id: from });
  }

  /** Ends the second: writes the sums. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [code, lines] of this.#lines) {
      const count = lines - LINES_PER_SECOND;
      if (count <= 0) continue;
      const message = `Rejected ${count} more messages within a second: ${code}`;
      this.#log("warning", "messages_rejected", { message, code, count });
    }
    this.#lines.clear();
  }
}
