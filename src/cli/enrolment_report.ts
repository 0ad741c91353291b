/** What keeps devices from being enrolled, in sentences. */

import { DEVICE_ID_RULE } from "../core/device.ts";
import type { EnrolmentFault, EnrolmentFaultKind } from "../site/operations/enrolment_fault.ts";
import type { LineFault } from "./device_file.ts";
import { CommandError } from "./terminal.ts";

/** More faults than these are only counted. */
const FAULTS_NAMED_MAX = 100;

/** The failure for faults of devices; `wheres` say where each was asked for, such as "line 7". */
export function enrolmentError(
  faults: readonly EnrolmentFault[],
  wheres: readonly string[],
): CommandError {
  const [first] = faults;
  const sentences = faults.map((fault) => placed(fault, wheres));
  if (first?.kind !== "not_registered" || first.hint === undefined) return manyFaults(sentences);
  return new CommandError(sentences, { hint: first.hint });
}

/** The faults of a file and those of its devices as sentences, in the order of the lines. */
export function faultsByLine(
  ofFile: readonly LineFault[],
  ofDevices: readonly EnrolmentFault[],
  lines: readonly (number | undefined)[],
): string[] {
  const wheres = lines.map(lineName);
  return [
    ...ofFile.map(({ line, fault }) => ({ line, text: `${lineName(line)}: ${fault}` })),
    ...ofDevices.map((fault) => ({
      line: lines[fault.place ?? 0] ?? 0,
      text: placed(fault, wheres),
    })),
  ].sort((a, b) => a.line - b.line).map(({ text }) => text);
}

/** How a line of a file is called; empty for none. */
export function lineName(line: number | undefined): string {
  return line === undefined ? "" : `line ${line}`;
}

function placed(fault: EnrolmentFault, wheres: readonly string[]): string {
  const where = fault.place === undefined ? "" : wheres[fault.place] ?? "";
  const sentence = faultSentence(fault, wheres);
  return where === "" ? sentence : `${where}: ${sentence}`;
}

/** A failure that names the first of many faults. */
export function manyFaults(faults: readonly string[]): CommandError {
  const named = faults.slice(0, FAULTS_NAMED_MAX);
  const rest = faults.length - named.length;
  return new CommandError(rest > 0 ? [...named, `and ${rest} more faults`] : named, {
    ...(faults.length > 1 && { hint: "Nothing was done; fix these and run it again" }),
  });
}

/** One fault as a sentence; `wheres` say where the others of the same list are. */
export function faultSentence(
  fault: EnrolmentFaultKind,
  wheres: readonly string[] = [],
): string {
  switch (fault.kind) {
    case "invalid_id":
      return `Cannot name a device "${fault.deviceId}": an id has ${DEVICE_ID_RULE}`;
    case "already_registered":
      return `Device "${fault.deviceId}" exists already`;
    case "differs_only_in_case":
      return `Cannot add "${fault.deviceId}": it differs only in case from "${fault.existing}"`;
    case "repeated_id": {
      const { deviceId, earlier } = fault;
      const where = wheres[earlier.place];
      return deviceId === earlier.deviceId
        ? `"${deviceId}" has the id of ${where}`
        : `Cannot add "${deviceId}": it differs only in case from "${earlier.deviceId}" of ${where}`;
    }
    case "repeated_secret":
      return `"${fault.deviceId}" has the secret of ${wheres[fault.earlier.place]}`;
    case "invalid_secret":
      return `Cannot use the secret of "${fault.deviceId}": ${fault.reason}`;
    case "secret_taken":
      return `Cannot use the secret of "${fault.deviceId}": device "${fault.holder}" has it already`;
    case "damaged_row":
      return `Cannot adopt the device: ${fault.reason}`;
    case "removal_unfinished": {
      const { deviceId } = fault;
      return `Cannot add "${deviceId}": its removal did not finish, run device remove ${deviceId}`;
    }
    case "bundle_exists":
      return `Cannot make the device's folder: "${fault.path}" exists already`;
    case "certificate_not_issued":
      return `Cannot issue a certificate: ${fault.reason}`;
    case "not_registered":
      return `Cannot register the devices: ${fault.reason}`;
    default:
      return fault satisfies never;
  }
}
