/** What is on its way to the backend. */

import type { CommandState } from "./command_life.ts";
import type { SignedFields } from "./signing_input.ts";

/** An accepted reading, or a command's new state, that the backend has not settled yet. */
export interface OutboxEntry extends SignedFields {
  /** Counts up in the order in which the broker delivered. */
  readonly sequence: number;
  /** When it was accepted: Unix milliseconds of a clock that never steps (`steadyClock`). */
  readonly acceptedMs: number;
  /** What the backend receives: of a reading, the bytes under the signature. */
  readonly payload: Uint8Array;
  /** What it tells of the command with this message_id; undefined: it is a reading. */
  readonly commandState?: CommandState | undefined;
}

/** True if an entry tells of a command's state; its payload is the command's record. */
export function isCallback({ commandState }: Pick<OutboxEntry, "commandState">): boolean {
  return commandState !== undefined;
}

/** By which the backend knows an entry again: no two of one device have the same. */
export function idempotencyKey(
  { messageId, commandState }: Pick<OutboxEntry, "messageId" | "commandState">,
): string {
  return commandState === undefined ? messageId : `${messageId}-${commandState}`;
}

/** An entry without its payload, which is still in the store. */
export interface WaitingEntry extends Pick<OutboxEntry, "sequence" | "deviceId"> {
  /** True of a callback; an entry that was accepted just now does not say it. */
  readonly isCallback?: true;
  /** True of one that an earlier run has left, if another gateway has older ones of its device. */
  readonly isBehind?: true;
}
