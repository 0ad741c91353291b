/** Time, as an argument: the wall clock for freshness, the monotonic one for waiting. */

/** A clock. */
export interface Clock {
  /** Wall clock, Unix milliseconds; may step. */
  wallMs(): number;
  /** Milliseconds from some beginning; never steps. */
  monotonicMs(): number;
}

/** The machine's own clocks. */
export const SYSTEM_CLOCK: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};

/**
 * The wall clock as it was when this was called, moved on by the monotonic one: Unix milliseconds
 * that never step, so that the age of an entry is the time that it has really waited.
 */
export function steadyClock(clock: Clock): () => number {
  const offsetMs = clock.wallMs() - clock.monotonicMs();
  return () => Math.round(offsetMs + clock.monotonicMs());
}
