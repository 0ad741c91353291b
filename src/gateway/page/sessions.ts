/**
 * Who has logged in at the page.
 *
 * The rules are:
 * - a session has a new random token each time, of which only the hash is kept, and only in memory: it
 *   is of the gateway's process that made it;
 * - it is bound to its key, which the caller looks up each time: without it, it is over;
 * - it ends some time after it was last used, and in any case after a day's work;
 * - there are so many of one key, and of all: the one that was not used for longest ends first. No key
 *   can end another's.
 */

import { createHash } from "node:crypto";
import type { ApiKey } from "../../store/api_keys.ts";
import type { Clock } from "../../time/clock.ts";

/** How long a session lasts without a request, milliseconds. */
export const IDLE_MS = 3_600_000;

/** How long it lasts in all, milliseconds. */
export const LONGEST_MS = 43_200_000;

/** Most sessions of one key; there are at most so many keys that all of them are few. */
export const SESSIONS_OF_ONE_MAX = 20;

/** Most sessions of all keys: those of keys that were removed are among them until they end. */
export const SESSIONS_MAX = 2_000;

/** Random bytes of a token. */
const TOKEN_BYTES = 32;

/** One session. */
interface Session {
  /** Of the key that it is bound to. */
  readonly digest: Uint8Array;
  /** The same, to compare. */
  readonly owner: string;
  readonly begunMs: number;
  usedMs: number;
}

/** The sessions. */
export class Sessions {
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** By the hash of the token; in the order of their last use. */
  readonly #all = new Map<string, Session>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** How many there are, those among them that are over and not forgotten yet. */
  get size(): number {
    return this.#all.size;
  }

  /** Begins one; returns its token, which nobody else has. */
  begin({ digest }: Pick<ApiKey, "digest">): string {
    const nowMs = this.#clock.monotonicMs();
    const owner = digest.toHex();
    const own: string[] = [];
    for (const [hash, session] of this.#all) {
      if (isOver(session, nowMs)) this.#all.delete(hash);
      else if (session.owner === owner) own.push(hash);
    }
    if (own.length >= SESSIONS_OF_ONE_MAX) this.#all.delete(own[0]!);
    if (this.#all.size >= SESSIONS_MAX) this.#all.delete(this.#all.keys().next().value!);
    const token = crypto.getRandomValues(new Uint8Array(TOKEN_BYTES)).toBase64({
      alphabet: "base64url",
      omitPadding: true,
    });
    this.#all.set(hashOf(token), { digest, owner, begunMs: nowMs, usedMs: nowMs });
    return token;
  }

  /** The session of a token, which is used by that; undefined if there is none, or it is over. */
  use(token: string): Session | undefined {
    const hash = hashOf(token);
    const session = this.#all.get(hash);
    if (session === undefined) return undefined;
    this.#all.delete(hash);
    const nowMs = this.#clock.monotonicMs();
    if (isOver(session, nowMs)) return undefined;
    session.usedMs = nowMs;
    this.#all.set(hash, session);
    return session;
  }

  /** True while a session is not over; asking is no use of it. */
  stands(token: string): boolean {
    const session = this.#all.get(hashOf(token));
    return session !== undefined && !isOver(session, this.#clock.monotonicMs());
  }

  /** Ends a session, if it is one. */
  end(token: string): void {
    this.#all.delete(hashOf(token));
  }
}

function isOver({ begunMs, usedMs }: Session, nowMs: number): boolean {
  return nowMs - usedMs >= IDLE_MS || nowMs - begunMs >= LONGEST_MS;
}

/** A hash finds it, so that no comparison says by its time how much of a token is right. */
function hashOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
