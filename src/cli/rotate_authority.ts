/** `rotate-authority`: a new authority for the devices, without a gap. */

import {
  beginAuthorityRotation,
  finishAuthorityRotation,
  type RotateAuthorityFault,
  type RotateAuthorityStep,
} from "../site/operations/rotate_authority.ts";
import { configOf, layoutOf, withStore } from "./open_site.ts";
import { brokerSentence, failOn } from "./revocation_report.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { CommandError, print, printable } from "./terminal.ts";

/** What `rotate-authority` may be told. */
interface RotateAuthorityOptions extends JsonOption {
  readonly finish?: true;
  readonly force?: true;
}

/** Ids that are named in one message. */
const NAMED_MAX = 5;

/** Moves to a new device authority, or ends the move. */
export async function rotateAuthority(options: RotateAuthorityOptions): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const force = options.force === true;
  const { steps, fault } = await withStore(
    config,
    (store) =>
      options.finish
        ? finishAuthorityRotation(store, site, { force })
        : beginAuthorityRotation(store, site),
  );
  if (options.json) printJson({ complete: fault === undefined, steps, fault });
  else for (const line of steps.flatMap(sentencesOf)) print(printable(line));
  if (fault) sayFault(fault, options);
}

function sentencesOf(step: RotateAuthorityStep): string[] {
  switch (step.kind) {
    case "authority_issuing": {
      const { authority, previous, devicesLeft: { length } } = step;
      const first = `New certificates come from authority ${shortOf(authority)}`;
      return previous === undefined ? [first] : [
        first,
        `Those of authority ${shortOf(previous)} are valid until rotate-authority --finish`,
        `${length} devices still need a new one: device rotate ID --certificate`,
      ];
    }
    case "single_authority":
      return ["There is only one authority: nothing to finish"];
    case "authority_distrusted":
      return [`Authority ${shortOf(step.authority)} is no longer trusted`];
    default:
      return [brokerSentence(step)];
  }
}

function sayFault(fault: RotateAuthorityFault, { json }: RotateAuthorityOptions): void {
  switch (fault.kind) {
    case "rollover_failed":
      throw new CommandError(`Cannot move to another authority: ${fault.reason}`);
    case "devices_left":
      throw devicesLeft(fault.devices);
    default:
      failOn(
        fault,
        json ? undefined : "Until then the broker trusts the same authorities as before",
      );
  }
}

function devicesLeft(devices: readonly string[]): CommandError {
  const named = devices.slice(0, NAMED_MAX).join(", ") + (devices.length > NAMED_MAX ? ", …" : "");
  return new CommandError(
    `Cannot end the move: ${devices.length} devices have no certificate of the new authority: ` +
      named,
    { hint: "Give them one with device rotate ID --certificate, or give --force" },
  );
}

function shortOf(fingerprint: string): string {
  return fingerprint.slice(0, 16);
}
