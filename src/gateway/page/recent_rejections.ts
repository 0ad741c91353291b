/**
 * The last rejections of each device, with their messages, so that the likely mistake can be found.
 *
 * The rules are:
 * - everything is bounded: devices, rejections of one, bytes of a message and of all;
 * - those with one code within a second are one, so that a flood costs a look-up each;
 * - the device that was refused longest ago goes first;
 * - a message is copied: the buffer that it came in is much larger.
 */

import type { EventOf } from "../../core/event.ts";
import { type RejectionCode, rejectionSentence } from "../../core/rejection.ts";
import type { Clock } from "../../time/clock.ts";

/** Most rejections of one device. */
export const REJECTIONS_OF_ONE_MAX = 8;

/** Most devices; a topic may say any id. */
export const REFUSED_DEVICES_MAX = 1_000;

/** Longest message that is kept, and the longest id and reason. */
const MESSAGE_MAX_BYTES = 16_384;
const TEXT_MAX_CHARS = 300;

/** All messages together. */
export const MESSAGES_MAX_BYTES = 1_000_000;

const ALIKE_MS = 1_000;

/** One rejection, or several that are alike. */
export interface RecentRejection {
  readonly id: string;
  /** Wall clock, Unix milliseconds. */
  readonly atMs: number;
  readonly code: RejectionCode;
  /** As in the log. */
  readonly reason: string;
  readonly messageId: string | undefined;
  /** Undefined: it was too long to be kept. */
  readonly bytes: Uint8Array | undefined;
  count: number;
}

/** The rejections; they outlive a gateway that is replaced by another in the same process. */
export class RecentRejections {
  readonly #clock: Clock;
  /** By the id in the topic; the one that was refused last is the last. The oldest rejection first. */
  readonly #all = new Map<string, RecentRejection[]>();
  #bytes = 0;
  #ids = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Those of one device, the newest first. */
  of(deviceId: string): readonly RecentRejection[] {
    return this.#all.get(deviceId)?.toReversed() ?? [];
  }

  /** One of a device's; undefined if there is none, or not any longer. */
  find(deviceId: string, id: string): RecentRejection | undefined {
    return this.#all.get(deviceId)?.find((one) => one.id === id);
  }

  /** Takes one. */
  take({ identity, rejection, messageId, bytes }: EventOf<"message_rejected">): void {
    const atMs = this.#clock.wallMs();
    const deviceId = identity.slice(0, TEXT_MAX_CHARS);
    const own = this.#all.get(deviceId);
    const alike = own?.findLast(({ code }) => code === rejection.code);
    if (alike && Math.abs(atMs - alike.atMs) < ALIKE_MS) return void alike.count++;
    const kept = bytes.length <= MESSAGE_MAX_BYTES ? bytes.slice() : undefined;
    const reason = rejectionSentence(rejection, deviceId).slice(0, TEXT_MAX_CHARS);
    const id = String(++this.#ids);
    this.#put(deviceId, own ?? [], {
      ...{ id, atMs, code: rejection.code, reason, messageId, bytes: kept, count: 1 },
    });
  }

  #put(deviceId: string, own: RecentRejection[], rejection: RecentRejection): void {
    own.push(rejection);
    this.#bytes += sizeOf(rejection);
    if (own.length > REJECTIONS_OF_ONE_MAX) this.#bytes -= sizeOf(own.shift()!);
    this.#all.delete(deviceId);
    this.#all.set(deviceId, own);
    while (this.#all.size > REFUSED_DEVICES_MAX || this.#bytes > MESSAGES_MAX_BYTES) {
      const [oldest, gone] = this.#all.entries().next().value!;
      this.#all.delete(oldest);
      for (const one of gone) this.#bytes -= sizeOf(one);
    }
  }
}

function sizeOf({ bytes }: RecentRejection): number {
  return bytes?.length ?? 0;
}
