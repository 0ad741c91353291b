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

/**
 * The wall clock when this was called, advanced by the monotonic one: Unix milliseconds that never
 * step, so the age of an entry is the time that it has really waited.
 */
export function steadyClock(clock: Clock): () => number {
  const offsetMs = clock.wallMs() - clock.monotonicMs();
  return () => Math.round(offsetMs + clock.monotonicMs());
}
