/**
 * How many waiting entries are kept in memory with their payloads, over all lanes.
 *
 * Of one lane only as many as are read at once; the entry in front of a lane is kept whatever room
 * there is, so that each lane goes on.
 */

import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { READ_MAX } from "../../core/ports.ts";

/** Waiting entries that are kept in memory, over all lanes. */
const READ_AHEAD_MAX_ENTRIES = 4_000;
/** The bytes of their payloads. */
const READ_AHEAD_MAX_BYTES = 4 * 1024 * 1024;

/** What is kept. */
export class ReadAhead {
  #entries = 0;
  #bytes = 0;

  /** True if one more entry may be kept that is not in front of its lane. */
  hasRoom({ payload }: OutboxEntry): boolean {
    return this.#entries < READ_AHEAD_MAX_ENTRIES &&
      this.#bytes + payload.length <= READ_AHEAD_MAX_BYTES;
  }

  /** How many entries may be read for a lane that has none; at least one. */
  get readable(): number {
    return Math.max(1, Math.min(READ_MAX, READ_AHEAD_MAX_ENTRIES - this.#entries));
  }

  /** An entry is kept. */
  add({ payload }: OutboxEntry): void {
    this.#entries++;
    this.#bytes += payload.length;
  }

  /** An entry is kept no longer. */
  remove({ payload }: OutboxEntry): void {
    this.#entries--;
    this.#bytes -= payload.length;
  }
}
