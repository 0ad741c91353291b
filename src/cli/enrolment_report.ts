/** What keeps devices from being enrolled, in sentences. */

import { DEVICE_ID_RULE } from "../core/device.ts";
import type { EnrolmentFault, EnrolmentFaultKind } from "../site/operations/enrolment_fault.ts";
import { CommandError } from "./terminal.ts";

/** More faults than these are only counted. */
const FAULTS_NAMED_MAX = 100;

/** The failure for faults of devices; `wheres` say where each was asked for, such as "line 7". */
export function enrolmentError(
  faults: readonly EnrolmentFault[],
  wheres: readonly string[],
): CommandError {
  return manyFaults(faults.map((fault) => {
    const where = fault.place === undefined ? "" : wheres[fault.place] ?? "";
    return where === "" ? faultSentence(fault) : `${where}: ${faultSentence(fault)}`;
  }));
}

/** A failure that names the first of many faults. */
export function manyFaults(faults: readonly string[]): CommandError {
  const named = faults.slice(0, FAULTS_NAMED_MAX);
  const rest = faults.length - named.length;
  return new CommandError(rest > 0 ? [...named, `and ${rest} more faults`] : named, {
    ...(faults.length > 1 && { hint: "Nothing was done; fix these and run it again" }),
  });
}

/** One fault as a sentence. */
export function faultSentence(fault: EnrolmentFaultKind): string {
  switch (fault.kind) {
    case "invalid_id":
      return `Cannot name a device "${fault.deviceId}": an id has ${DEVICE_ID_RULE}`;
    case "already_registered":
      return `Device "${fault.deviceId}" exists already`;
    case "differs_only_in_case":
      return `Cannot add "${fault.deviceId}": it differs only in case from "${fault.existing}"`;
    case "invalid_secret":
      return `Cannot use the secret of "${fault.deviceId}": ${fault.reason}`;
    case "secret_taken":
      return `Cannot use the secret of "${fault.deviceId}": device "${fault.holder}" has it already`;
    case "no_bundle":
      return fault.reason;
    case "not_registered":
      return `Cannot register the devices: ${fault.reason}`;
    default:
      return fault satisfies never;
  }
}
