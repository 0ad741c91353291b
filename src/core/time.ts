/** Units of time. */

/** Seconds in a day. */
export const DAY_SECONDS = 86_400;

/** Milliseconds as whole seconds, rounded down; also turns Unix milliseconds into Unix seconds. */
export function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}
