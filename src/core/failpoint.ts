/** Moments on a message's way at which a test can end the process. */
export const FAILPOINTS = [
  "verified",
  "committed",
  "acknowledged",
  "posted",
  "answered",
  "settling",
] as const;

export type Failpoint = typeof FAILPOINTS[number];

/** Told when a point is reached; in the program itself nobody listens. */
export type OnFailpoint = (point: Failpoint) => void;
