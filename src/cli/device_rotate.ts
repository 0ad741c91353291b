/** `device rotate`: a new secret or certificate without a gap. */

import { durationMs, isDuration } from "../config/setting_types.ts";
import {
  finishRotation,
  rotateCertificate,
  type RotateDeviceFault,
  type RotateDeviceResult,
  type RotateDeviceStep,
  rotateSecret,
  type RotationSite,
} from "../site/operations/rotate_device.ts";
import type { KeyType } from "../site/pki/authority.ts";
import { readRequest } from "./request_file.ts";
import { makeSecret } from "../site/device_secret.ts";
import { configOf, layoutOf, withSecrets } from "./open_site.ts";
import { brokerSentence, failOn } from "./revocation_report.ts";
import { programName } from "./program_name.ts";
import { readSecret } from "./secret_file.ts";
import { type JsonOption, printJson } from "./json_output.ts";
import { counted } from "../core/counted.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";
import { DAY_MS, secondsOf } from "../core/time.ts";

/** What `device rotate` may be told. */
interface RotateOptions extends JsonOption {
  readonly secret?: true;
  readonly secretFile?: string;
  readonly overlap: string;
  readonly certificate?: true;
  readonly validDays?: number;
  readonly csr?: string;
  readonly keyType?: KeyType;
  readonly finish?: true;
  readonly force?: true;
}

const OVERLAP_MAX_MS = 3_650 * DAY_MS;

/** Gives a device a new secret or a new certificate, or ends a rotation. */
export async function rotateDevice(deviceId: string, options: RotateOptions): Promise<void> {
  const overlapSeconds = checkOptions(options);
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  await withSecrets(config, async (store) => {
    if (!await store.registry.find(deviceId)) throw unknownDevice(deviceId);
    const rotation = { site, store };
    const { steps, fault } = await rotate(rotation, deviceId, { ...options, overlapSeconds });
    const lines = steps.flatMap((step) => sentencesOf(step, layout.directory));
    if (options.json) printJson({ deviceId, complete: fault === undefined, steps, fault });
    else lines.forEach((line) => print(printable(line)));
    if (fault) sayFault(fault, deviceId, options);
  });
}

/** Does what was asked for, in order, until something fails. */
async function rotate(
  rotation: RotationSite,
  deviceId: string,
  options: RotateOptions & { readonly overlapSeconds: number },
): Promise<RotateDeviceResult> {
  const { secretFile, validDays, keyType, csr, overlapSeconds } = options;
  const steps: RotateDeviceStep[] = [];
  if (options.secret) {
    const secret = secretFile === undefined ? makeSecret() : readSecret(secretFile);
    const isKnown = secretFile !== undefined;
    const result = await rotateSecret(rotation, deviceId, { secret, isKnown, overlapSeconds });
    steps.push(...result.steps);
    if (result.fault) return { steps, fault: result.fault };
  }
  if (options.certificate) {
    const result = await rotateCertificate(rotation, deviceId, {
      ...(validDays !== undefined && { validDays }),
      ...(keyType !== undefined && { keyType }),
      ...(csr !== undefined && { publicKey: await readRequest(csr) }),
    });
    steps.push(...result.steps);
    if (result.fault) return { steps, fault: result.fault };
  }
  if (!options.finish) return { steps };
  return await finishRotation(rotation, deviceId, { force: options.force === true });
}

/** Refuses options that contradict each other; returns the overlap in seconds. */
function checkOptions(options: RotateOptions): number {
  const { secret, secretFile, certificate, finish, overlap, csr, keyType } = options;
  const wrong = (fault: string, hint: string) =>
    new CommandError(fault, { exit: EXIT.usage, hint });
  if (!secret && !certificate && !finish) {
    throw wrong(
      "No --secret, --certificate or --finish was given",
      "Give --secret, --certificate, or --finish afterwards",
    );
  }
  if (finish && (secret || certificate)) {
    throw wrong("Cannot begin and end a rotation at once", "Give --finish once the device has it");
  }
  if (csr !== undefined && keyType !== undefined) {
    throw wrong("Cannot make a key for a request", "Give --csr or --key-type, not both");
  }
  if ((csr ?? keyType) !== undefined && !certificate) {
    throw wrong(
      "Cannot use --csr or --key-type without a certificate",
      "Give --certificate as well",
    );
  }
  if (secretFile !== undefined && !secret) {
    throw wrong("Cannot take a secret from a file", "Give --secret as well");
  }
  if (!isDuration(overlap) || durationMs(overlap) > OVERLAP_MAX_MS) {
    throw wrong(`Cannot use the overlap "${overlap}"`, 'Give a duration such as "7d" or "12h"');
  }
  return secondsOf(durationMs(overlap));
}

function sentencesOf(step: RotateDeviceStep, directory: string): string[] {
  const typed = (rest: string) => `${programName()} device ${rest} --dir ${directory}`;
  switch (step.kind) {
    case "secret_rotated": {
      const { deviceId, secretFile = "the one you gave", previousValidUntil } = step;
      return [
        `${deviceId} has a new secret: ${secretFile} goes onto the device`,
        `The previous secret is valid until ${previousValidUntil}`,
        `To see which one it uses: ${typed(`show ${deviceId}`)}`,
      ];
    }
    case "certificate_issued": {
      const { deviceId, bundle, validUntil } = step;
      return [
        `${deviceId} has a new certificate until ${validUntil}: ${bundle} goes onto the device`,
        `The previous ones stay valid until: ${typed(`rotate ${deviceId} --finish`)}`,
      ];
    }
    case "overlap_ended": {
      const { deviceId, withdrawn } = step;
      const revoked = counted(withdrawn, "certificate");
      return [`${deviceId} now has its newest secret only; revoked ${revoked}`];
    }
    default:
      return [brokerSentence(step)];
  }
}

function sayFault(fault: RotateDeviceFault, deviceId: string, { json }: RotateOptions): void {
  switch (fault.kind) {
    case "secret_taken":
      throw new CommandError(`Cannot use the secret: device "${fault.holder}" has it already`);
    case "secret_unused":
      throw new CommandError(
        `Cannot end the overlap: ${deviceId} has not used its new secret yet`,
        { hint: "Wait until device show reports its use, or give --force" },
      );
    case "secret_line_missing":
      throw new CommandError(
        `Cannot write the new secret: "${fault.path}" has no line that begins with "# secret: "`,
        { hint: "Nothing was changed; give your own with --secret-file, or correct that file" },
      );
    case "certificate_not_issued":
      throw new CommandError(`Cannot issue a certificate: ${fault.reason}`);
    default:
      failOn(
        fault,
        json ? undefined : "Until then the broker may accept the previous certificates",
      );
  }
}
