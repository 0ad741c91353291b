/** What is marked on the disk of a gateway's clocks, and when it is due. */

/** By how much the clock of `accepted_ms` is ahead of the wall clock, milliseconds: a mark. */
export const STEADY_OFFSET_MARK = "steady_offset_ms";

/** Seconds between two marks of attendance, if nothing else is written. */
const MARK_EVERY_SECONDS = 10;

/** A step of the wall clock that is marked, milliseconds. */
const STEADY_STEP_MS = 1_000;

/** True if the wall clock is not where the clock that never steps says it was. */
export function hasStepped(offsetMs: number, markedMs: number): boolean {
  return Math.abs(offsetMs - markedMs) >= STEADY_STEP_MS;
}

/** True if attendance is to be marked; undefined: the gateway is catching up, and attends to nothing. */
export function isAttendanceDue(
  attendedSeconds: number | undefined,
  { markedSeconds, isWritten }: { readonly markedSeconds: number; readonly isWritten: boolean },
): attendedSeconds is number {
  if (attendedSeconds === undefined) return false;
  return Math.abs(attendedSeconds - markedSeconds) >= (isWritten ? 1 : MARK_EVERY_SECONDS);
}
