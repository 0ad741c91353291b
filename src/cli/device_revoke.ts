/** `device revoke` and `device restore`. */

import {
  restoreDevice as restore,
  revokeDevice as revoke,
  type RevokeDeviceStep,
} from "../site/operations/revoke_device.ts";
import { changeDevice } from "./device_change.ts";
import type { JsonOption } from "./json_output.ts";
import { brokerSentence } from "./revocation_report.ts";
import { CommandError, EXIT } from "./terminal.ts";

const REASON_MAX_CHARS = 200;

/** Refuses a device in the registry and at the broker, ends its connection, and prints how that was verified. */
export async function revokeDevice(
  deviceId: string,
  options: JsonOption & { readonly reason?: string },
): Promise<void> {
  const { reason } = options;
  if (reason !== undefined && reason.length > REASON_MAX_CHARS) {
    throw new CommandError(`Cannot keep the reason: it has over ${REASON_MAX_CHARS} characters`, {
      exit: EXIT.usage,
    });
  }
  const what = { deviceId, ...(reason !== undefined && { reason }) };
  await changeDevice(deviceId, options, {
    work: (store, site) => revoke(store, site, what),
    sentenceOf,
    consolation: `The registry refuses ${deviceId} already`,
    done: `Revoked ${deviceId}`,
  });
}

/** Takes a revocation back, in the registry and at the broker. */
export async function restoreDevice(deviceId: string, options: JsonOption): Promise<void> {
  await changeDevice(deviceId, options, {
    work: (store, site) => restore(store, site, deviceId),
    sentenceOf,
    consolation: `Until then the broker may refuse ${deviceId}`,
    done: `Restored ${deviceId}`,
  });
}

function sentenceOf(step: RevokeDeviceStep): string {
  switch (step.kind) {
    case "device_refused":
      return `registry: messages of ${step.deviceId} are refused from now on`;
    case "device_restored":
      return `registry: ${step.deviceId} is accepted again` +
        (step.wasRevoked ? "" : ", as before: it was not revoked");
    default:
      return brokerSentence(step);
  }
}
