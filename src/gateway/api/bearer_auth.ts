/**
 * Who may use the API: a client with one of its keys.
 *
 * The rules are:
 * - missing and wrong keys get the same answer after the same work, which grows with the number of
 *   keys and with nothing else;
 * - an address that sends too many wrong keys is told to wait; the right key always passes, so
 *   that no other client behind the backend's address can lock it out;
 * - what is remembered of addresses is bounded;
 * - the metrics say that the store is away, so for them alone a key counts that was there when the
 *   store last answered.
 */

import { timingSafeEqual } from "node:crypto";
import type { KeyFault } from "../../core/event.ts";
import type { ApiKey } from "../../store/api_keys.ts";
import type { Clock } from "../../time/clock.ts";
import { inTime } from "../../time/time_limit.ts";
import { problem } from "./problem.ts";

/** Wrong keys that one address may send within a window. */
export const WRONG_KEYS_MAX = 10;

/** Length of that window, milliseconds. */
export const WRONG_KEYS_WINDOW_MS = 60_000;

/** How long the store may take to say which keys there are, if that can be done without. */
const STORE_TIMEOUT_MS = 2_000;

/** Most addresses remembered; the one that was first seen longest ago goes. */
const ADDRESSES_MAX = 10_000;

/** Guards the API with Bearer keys. */
export class BearerAuth {
  readonly #keys: () => Promise<readonly ApiKey[]>;
  readonly #clock: Clock;
  readonly #onRefused: (fault: KeyFault, address: string) => void;
  /** Undefined: the store has not answered yet. */
  #lastKeys: readonly ApiKey[] | undefined;
  readonly #wrong = new Map<string, { count: number; untilMs: number }>();

  /** `keys` says which there are now; `onRefused` is told of each request without one of them. */
  constructor(
    keys: () => Promise<readonly ApiKey[]>,
    clock: Clock,
    onRefused: (fault: KeyFault, address: string) => void = () => {},
  ) {
    this.#keys = keys;
    this.#clock = clock;
    this.#onRefused = onRefused;
  }

  /** The key that the request has, or the answer if it has none. */
  async authenticate(request: Request, address: string): Promise<ApiKey | Response> {
    return await this.#authenticate(request, address, await this.#currentKeys());
  }

  /** The same for what may be read while the store does not answer. */
  async authenticateReader(request: Request, address: string): Promise<ApiKey | Response> {
    const known = await inTime(this.#currentKeys(), STORE_TIMEOUT_MS) ?? this.#lastKeys;
    return await this.#authenticate(request, address, known ?? await this.#currentKeys());
  }

  async #currentKeys(): Promise<readonly ApiKey[]> {
    return this.#lastKeys = await this.#keys();
  }

  async #authenticate(
    request: Request,
    address: string,
    keys: readonly ApiKey[],
  ): Promise<ApiKey | Response> {
    const field = request.headers.get("authorization") ?? "";
    const presented = /^Bearer ([\x21-\x7e]+)$/i.exec(field)?.[1] ?? "";
    const key = findKey(await sha256(presented), keys);
    return key ?? this.refuse(presented === "" ? "no key" : "wrong key", address);
  }

  /** The key with this text; undefined if there is none: the answer is `refuse` then. */
  async find(presented: string): Promise<ApiKey | undefined> {
    return findKey(await sha256(presented), await this.#currentKeys());
  }

  /** The answer to a request of which `find` knows no key: it is told, and counted. */
  refuse(fault: KeyFault, address: string): Response {
    this.#onRefused(fault, address);
    const waitMs = this.#countWrong(address);
    if (waitMs === 0) return unauthorized();
    const retryAfter = String(Math.ceil(waitMs / 1000));
    return problem("too-many-wrong-keys", { headers: { "retry-after": retryAfter } });
  }

  /** A key as it is now; undefined if it was removed. */
  async current({ digest }: Pick<ApiKey, "digest">): Promise<ApiKey | undefined> {
    return findKey(digest, await this.#keys());
  }

  /** False if the key was removed since its request came: an answer that is held looks again. */
  async stands(key: ApiKey): Promise<boolean> {
    return await this.current(key) !== undefined;
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

/** The answer to a request without a key. */
export function unauthorized(): Response {
  return problem("unauthorized", { headers: { "www-authenticate": "Bearer" } });
}

/** Compares with every key, even if an early one fits. */
function findKey(digest: Uint8Array, keys: readonly ApiKey[]): ApiKey | undefined {
  let found: ApiKey | undefined;
  for (const key of keys) if (timingSafeEqual(digest, key.digest)) found = key;
  return found;
}

async function sha256(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
}
