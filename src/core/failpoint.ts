/** Points on a message's way at which a test can end the process. */
export const FAILPOINTS = [
  "verified",
  "committed",
  "acknowledged",
  "posted",
  "answered",
  "settling",
] as const;

/** The same on a command's way; each change is on the disk, and nobody has heard of it. */
export const COMMAND_FAILPOINTS = [
  /** Accepted, and to be sent later. */
  "command_stored",
  /** A copy is about to be published. */
  "command_intended",
  /** The broker has spoken of a copy, and that is not on the disk. */
  "command_published",
  "command_concluded",
  /** The device has acknowledged it, and the broker has no PUBACK for that. */
  "command_acknowledged",
  "command_cancelled",
  "command_timed_out",
  /** The backend is told of a state, and has not answered. */
  "callback_posted",
  /** The backend has taken a state, and that is not on the disk. */
  "callback_answered",
] as const;

export type Failpoint = typeof FAILPOINTS[number] | typeof COMMAND_FAILPOINTS[number];

/** Called when a point is reached; only tests use it. */
export type OnFailpoint = (point: Failpoint) => void;
