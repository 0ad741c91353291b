/** The payload of an acknowledgement: what a device says of a command. */

import { ACKNOWLEDGED_STATES, type AcknowledgedState } from "./command_life.ts";

/** Largest payload, in bytes: it is kept with the command. */
const ACKNOWLEDGEMENT_MAX_BYTES = 16_384;

/** A payload that was read, or what is wrong with it. */
type ReadAcknowledgement =
  | { readonly ok: true; readonly state: AcknowledgedState }
  | { readonly ok: false; readonly fault: string };

/** Reads a payload, JSON text that an envelope held. */
export function readAcknowledgement(payload: Uint8Array): ReadAcknowledgement {
  if (payload.length > ACKNOWLEDGEMENT_MAX_BYTES) {
    const fault = `a payload of ${payload.length} bytes, at most ${ACKNOWLEDGEMENT_MAX_BYTES}`;
    return { ok: false, fault };
  }
  const value: unknown = JSON.parse(new TextDecoder().decode(payload));
  const state = typeof value === "object" && value !== null && "state" in value
    ? value.state
    : undefined;
  const known = ACKNOWLEDGED_STATES.find((one) => one === state);
  if (known === undefined) {
    const fault = `"state" is none of ${ACKNOWLEDGED_STATES.join(", ")}, in the payload`;
    return { ok: false, fault };
  }
  return { ok: true, state: known };
}
