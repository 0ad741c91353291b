/** Points on a message's way at which a test can end the process. */
export const FAILPOINTS = [
  "verified",
  "committed",
  "acknowledged",
  "posted",
  "answered",
  "settling",
] as const;

export type Failpoint = typeof FAILPOINTS[number];

/** Called when a point is reached; only tests use it. */
export type OnFailpoint = (point: Failpoint) => void;
