/** `device revoke` and `device restore`. */

import type { RegistryStore } from "../store/registry.ts";
import type { OpenSite } from "../site/operations/broker_access.ts";
import {
  restoreDevice as restore,
  revokeDevice as revoke,
  type RevokeDeviceResult,
  type RevokeDeviceStep,
} from "../site/operations/revoke_device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { brokerSentence, failOn } from "./revocation_report.ts";
import { CommandError, EXIT, print, printable, printJson } from "./terminal.ts";
import { unknownDevice } from "./unknown_device.ts";

/** What both commands may be told. */
interface RevokeOptions extends SiteOption {
  readonly json?: true;
}

const REASON_MAX_CHARS = 200;

/** Refuses a device in the registry and at the broker, ends its connection, and prints how that was verified. */
export async function revokeDevice(
  deviceId: string,
  options: RevokeOptions & { readonly reason?: string },
): Promise<void> {
  const { reason } = options;
  if (reason !== undefined && reason.length > REASON_MAX_CHARS) {
    throw new CommandError(`Cannot keep the reason: it has over ${REASON_MAX_CHARS} characters`, {
      exit: EXIT.wrongUse,
    });
  }
  const what = { deviceId, ...(reason !== undefined && { reason }) };
  await carryOut(deviceId, options, {
    work: (registry, site) => revoke(registry, site, what),
    consolation: `The registry refuses ${deviceId} already`,
    done: `Revoked ${deviceId}`,
  });
}

/** Takes a revocation back, in the registry and at the broker. */
export async function restoreDevice(deviceId: string, options: RevokeOptions): Promise<void> {
  await carryOut(deviceId, options, {
    work: (registry, site) => restore(registry, site, deviceId),
    consolation: `Until then the broker may refuse ${deviceId}`,
    done: `Restored ${deviceId}`,
  });
}

async function carryOut(
  deviceId: string,
  options: RevokeOptions,
  { work, consolation, done }: {
    work(registry: RegistryStore, site: OpenSite): Promise<RevokeDeviceResult>;
    consolation: string;
    done: string;
  },
): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  const site = { layout, config, nowMs: Date.now() };
  const result = await withStore(config, ({ registry }) => work(registry, site));
  if (!result.found) throw unknownDevice(deviceId);
  const { steps, fault } = result;
  if (options.json) {
    printJson({ deviceId, complete: fault === undefined, steps, fault });
    return failOn(fault);
  }
  for (const step of steps) print(printable(sentenceOf(step)));
  failOn(fault, consolation);
  print(done);
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
