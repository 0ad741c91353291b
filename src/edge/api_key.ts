/**
 * Who may use the API: whoever has the key.
 *
 * The rules are:
 * - missing and wrong keys get the same answer after the same work;
 * - an address that sends too many wrong keys is told to wait; the right key always passes, so
 *   that nobody behind the backend's address can lock it out;
 * - what is remembered of addresses is bounded.
 */

import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";
import type { Clock } from "./clock.ts";
import { problem } from "./problem.ts";

/** Wrong keys that one address may send within a window. */
export const WRONG_KEYS_MAX = 10;

/** Length of that window, milliseconds. */
export const WRONG_KEYS_WINDOW_MS = 60_000;

/** Most addresses remembered; the one that was first seen longest ago goes. */
const ADDRESSES_MAX = 10_000;

/** Guards the API with one Bearer key. */
export class ApiKeyGuard {
  readonly #digest: Uint8Array;
  readonly #clock: Clock;
  readonly #wrong = new Map<string, { count: number; untilMs: number }>();

  /** `digest`: SHA-256 of the key. */
  constructor(digest: Uint8Array, clock: Clock) {
    this.#digest = digest;
    this.#clock = clock;
  }

  /** Undefined where the request has the key; otherwise the answer to give. */
  async refuse(request: Request, address: string): Promise<Response | undefined> {
    const field = request.headers.get("authorization") ?? "";
    const presented = /^Bearer ([\x21-\x7e]+)$/i.exec(field)?.[1] ?? "";
    if (timingSafeEqual(await sha256(presented), this.#digest)) return undefined;
    const waitMs = this.#countWrong(address);
    if (waitMs === 0) return problem("unauthorized", { headers: { "www-authenticate": "Bearer" } });
    const retryAfter = String(Math.ceil(waitMs / 1000));
    return problem("too-many-wrong-keys", { headers: { "retry-after": retryAfter } });
  }

  /** Counts a wrong key; returns how long the address must wait, 0 while it may go on. */
  #countWrong(address: string): number {
    const nowMs = this.#clock.monotonicMs();
    let wrong = this.#wrong.get(address);
    if (wrong === undefined || wrong.untilMs <= nowMs) {
      this.#wrong.delete(address);
      if (this.#wrong.size >= ADDRESSES_MAX) this.#wrong.delete(this.#wrong.keys().next().value!);
      wrong = { count: 0, untilMs: nowMs + WRONG_KEYS_WINDOW_MS };
      this.#wrong.set(address, wrong);
    }
    return ++wrong.count > WRONG_KEYS_MAX ? wrong.untilMs - nowMs : 0;
  }
}

async function sha256(text: string): Promise<Buffer> {
  return Buffer.from(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
