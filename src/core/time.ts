/** Units of time. */

/** Seconds of a day. */
export const DAY_SECONDS = 86_400;

/** Whole seconds of so many milliseconds, rounded down; Unix seconds of Unix milliseconds. */
export function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}
