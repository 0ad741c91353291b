/**
 * What becomes of the session if another client has our client id: each connect of the one ends the
 * connection of the other.
 *
 * The rules are:
 * - a takeover is what the broker calls so, or, since Mosquitto 2.0 ends such a connection without a
 *   word of MQTT, the third short connection in a row that it has left, with no failed one in between;
 *   a broker that dies leaves none;
 * - the pause before the next connect doubles each time, so that two gateways do not end each other's
 *   connections all the time; where the broker does not say so, it may also be restarted again and
 *   again, and the pause stays short;
 * - it is over once a connection has lasted for longer than the other one pauses.
 */

const SHORT_MS = 10_000;
const SHORT_IN_A_ROW = 3;
const PAUSE_FIRST_MS = 1_000;
const PAUSE_LONGEST_MS = 60_000;
/** Where a takeover is only likely. */
const LIKELY_PAUSE_LONGEST_MS = 10_000;
const OVER_AFTER_MS = 3 * PAUSE_LONGEST_MS;

/** How a connection ended: by the broker's word, left by it without one, or in another way. */
export type ConnectionEnd = "taken_over" | "closed" | "failed";

/** Whether a takeover is the first one, and how long to leave the session alone; 0 for none. */
interface EndResult {
  readonly isFirst: boolean;
  readonly pauseMs: number;
}

/** The takeovers of one client id; times are monotonic. */
export class Takeovers {
  #count = 0;
  #shortInARow = 0;
  #connectedMs: number | undefined;

  /** A connection is up. */
  connected(nowMs: number): void {
    this.#connectedMs = nowMs;
  }

  /** True while another client is to be expected. */
  goOn(nowMs: number): boolean {
    if (this.#count === 0) return false;
    return this.#connectedMs === undefined || nowMs - this.#connectedMs < OVER_AFTER_MS;
  }

  /** A connection has ended. */
  ended(end: ConnectionEnd, nowMs: number): EndResult {
    if (!this.goOn(nowMs)) this.#count = 0;
    const isShort = this.#connectedMs !== undefined && nowMs - this.#connectedMs < SHORT_MS;
    this.#connectedMs = undefined;
    this.#shortInARow = end === "closed" && isShort ? this.#shortInARow + 1 : 0;
    const isTakeover = end === "taken_over" ||
      end === "closed" && (this.#count > 0 || this.#shortInARow >= SHORT_IN_A_ROW);
    if (!isTakeover) return { isFirst: false, pauseMs: 0 };
    const longestMs = end === "taken_over" ? PAUSE_LONGEST_MS : LIKELY_PAUSE_LONGEST_MS;
    const pauseMs = Math.min(longestMs, PAUSE_FIRST_MS * 2 ** this.#count++);
    return { isFirst: this.#count === 1, pauseMs };
  }
}
