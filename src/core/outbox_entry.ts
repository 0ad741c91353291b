/** An accepted message on its way to the backend. */

import type { SignedFields } from "./signing_input.ts";

/** An accepted message that the backend has not settled yet. */
export interface OutboxEntry extends SignedFields {
  /** Counts up in the order in which the broker delivered. */
  readonly sequence: number;
  /** When it was accepted: Unix milliseconds of a clock that never steps (`steadyClock`). */
  readonly acceptedMs: number;
  /** The bytes under the signature; what the backend receives. */
  readonly payload: Uint8Array;
}

/** An entry without its payload, which is still in the store. */
export type WaitingEntry = Pick<OutboxEntry, "sequence" | "deviceId">;
