/** `device remove`. */

import { removeDevice as remove, type RemoveDeviceStep } from "../site/operations/remove_device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { brokerSentence, failOn } from "./revocation_report.ts";
import { print, printable, printJson } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

/** Removes a device from the registry and at the broker, with its folder. */
export async function removeDevice(
  deviceId: string,
  options: SiteOption & { readonly json?: true },
): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const result = await withStore(config, ({ registry }) => remove(registry, site, deviceId));
  if (!result.found) throw unknownDevice(deviceId);
  const { steps, fault } = result;
  if (options.json) {
    printJson({ deviceId, complete: fault === undefined, steps, fault });
    return failOn(fault);
  }
  for (const step of steps) print(printable(sentenceOf(step)));
  failOn(fault, `The registry refuses ${deviceId} already; its folder is still there`);
  print(`Removed ${deviceId}`);
}

function sentenceOf(step: RemoveDeviceStep): string {
  switch (step.kind) {
    case "device_removed":
      return `registry: messages of ${step.deviceId} are refused from now on`;
    case "broker_not_running":
      return `broker: not running (${step.reason}); it reads the new lists when it starts`;
    case "bundle_removed":
      return `folder: the files for ${step.deviceId} were deleted`;
    default:
      return brokerSentence(step);
  }
}
