/** `device remove`. */

import { removeDevice as remove, type RemoveDeviceStep } from "../site/operations/remove_device.ts";
import { changeDevice } from "./device_change.ts";
import type { JsonOption } from "./json_output.ts";
import { brokerSentence } from "./revocation_report.ts";

/** Removes a device from the registry and at the broker, with its folder. */
export async function removeDevice(deviceId: string, options: JsonOption): Promise<void> {
  await changeDevice(deviceId, options, {
    work: (store, site) => remove(store, site, deviceId),
    sentenceOf,
    consolation: `The registry refuses ${deviceId} already; its folder is still there`,
    done: `Removed ${deviceId}`,
  });
}

function sentenceOf(step: RemoveDeviceStep): string {
  switch (step.kind) {
    case "device_removed":
      return `registry: messages of ${step.deviceId} are refused from now on`;
    case "broker_not_running":
      return `broker: not running (${step.reason}); it reads the new lists when it starts`;
    case "session_kept":
      return `broker: it may keep commands for ${step.deviceId}, so the id is not free yet; start it, ` +
        `then type device remove ${step.deviceId} again`;
    case "bundle_removed":
      return `folder: the files for ${step.deviceId} were deleted`;
    default:
      return brokerSentence(step);
  }
}
