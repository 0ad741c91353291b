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
