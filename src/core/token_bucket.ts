/** A token bucket: how many messages a device may send, and how many at once. */

/** Tokens now, and when that was counted. */
export interface TokenBucket {
  readonly tokens: number;
  readonly atMs: number;
}

/** A device's rate: tokens refill at `perSecond`, up to `burst`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** The bucket at `nowMs` (monotonic); a new one is full. */
export function refill(bucket: TokenBucket | undefined, rate: Rate, nowMs: number): TokenBucket {
  if (bucket === undefined) return { tokens: rate.burst, atMs: nowMs };
  const gained = Math.max(0, nowMs - bucket.atMs) / 1000 * rate.perSecond;
  return { tokens: Math.min(rate.burst, bucket.tokens + gained), atMs: nowMs };
}
