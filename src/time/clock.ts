/** Time, as an argument: the wall clock for freshness, the monotonic one for waiting. */

/** A clock. */
export interface Clock {
  /** Wall clock, Unix milliseconds; may step. */
  wallMs(): number;
  /** Milliseconds since an arbitrary start; never steps. */
  monotonicMs(): number;
}

/** The machine's own clocks. */
export const SYSTEM_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/** What an earlier run knew of its steady clock. */
interface SteadyStart {
  /** By how much it was ahead of the wall clock, milliseconds. */
  readonly offsetMs: number;
  /** Unix milliseconds that it had reached; it never begins before. */
  readonly floorMs: number;
}

/**
 * A wall clock that never steps, Unix milliseconds: as the wall clock was when this was called, moved
 * on by the monotonic one. It goes on where that of an earlier run was, so that the age of an entry is
 * the time that it has really waited, although the wall clock was put right in between.
 */
export function steadyClock(clock: Clock, { offsetMs, floorMs }: SteadyStart): () => number {
  const beginMs = Math.max(clock.wallMs() + offsetMs, floorMs);
  const monotonicMs = clock.monotonicMs();
  return () => Math.round(beginMs + clock.monotonicMs() - monotonicMs);
}
