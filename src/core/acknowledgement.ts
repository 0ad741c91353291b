/** The payload of an acknowledgement: what a device says of a command. */

import { JsonScanner } from "./json_scanner.ts";
import { ACKNOWLEDGED_STATES, type AcknowledgedState } from "./command_life.ts";

/** Largest payload, in bytes: it is kept with the command. */
const ACKNOWLEDGEMENT_MAX_BYTES = 16_384;

/** A payload that was read, or what is wrong with it. */
type ReadAcknowledgement =
  | { readonly ok: true; readonly state: AcknowledgedState }
  | { readonly ok: false; readonly fault: string };

/** The scanner has counted already, inside the envelope. */
const DEPTH_ANY = Infinity;

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
  if (isTwofold(payload)) {
    return { ok: false, fault: '"state" appears twice, in the payload' };
  }
  return { ok: true, state: known };
}

/** True if the object names its state more than once: its readers would not agree on one. */
function isTwofold(payload: Uint8Array): boolean {
  const scanner = new JsonScanner(payload, DEPTH_ANY);
  let states = 0;
  let at = scanner.space(0);
  do {
    const start = scanner.space(at + 1); // past the brace or the comma
    const nameEnd = scanner.string(start);
    const name: unknown = JSON.parse(new TextDecoder().decode(payload.subarray(start, nameEnd)));
    if (name === "state") states++;
    at = scanner.space(scanner.value(scanner.space(scanner.space(nameEnd) + 1)));
  } while (payload[at] === 0x2c);
  return states > 1;
}
