/** Units of time. */

/** Seconds in a day. */
export const DAY_SECONDS = 86_400;

/** Milliseconds in a day. */
export const DAY_MS = DAY_SECONDS * 1000;

/** Milliseconds as whole seconds, rounded down; also turns Unix milliseconds into Unix seconds. */
export function secondsOf(ms: number): number {
  return Math.floor(ms / 1000);
}

/** "3 s ahead of", or "3 s behind" if it is less than 0. */
export function aheadInWords(aheadSeconds: number): string {
  return `${Math.abs(aheadSeconds)} s ${aheadSeconds < 0 ? "behind" : "ahead of"}`;
}
