/** Moments on a message's way at which a test can end the process. */
export const POINTS = [
  "verified",
  "committed",
  "acknowledged",
  "posted",
  "answered",
  "settling",
] as const;

export type Point = typeof POINTS[number];

/** Told when a point is reached; in the program itself nobody listens. */
export type OnPoint = (point: Point) => void;
