/** `device revoke` and `device restore`: out at once, and back. */

import type { Config } from "../config/config.ts";
import { Registry } from "../store/sqlite/registry.ts";
import type { Database } from "../store/sqlite/database.ts";
import type { SiteLayout } from "../site/layout.ts";
import {
  type BrokerAccess,
  enforceRevocations,
  type RevocationResult,
} from "../site/operations/revocation.ts";
import { unknownDevice } from "./device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./open_site.ts";
import { CommandError, EXIT, print, printable } from "./terminal.ts";

const REASON_MAX_CHARS = 200;

/** A certificate that has expired needs no list, save for clocks that differ. */
const LISTED_AFTER_END_SECONDS = 30 * 86_400;

/** Refuses a device in the registry and at the broker, ends its connection, and says how that was seen. */
export async function revokeDevice(
  deviceId: string,
  options: SiteOption & { readonly reason?: string },
): Promise<void> {
  const reason = reasonOf(options.reason);
  const layout = layoutOf(options);
  const config = configOf(layout);
  await withStore(config, async (store) => {
    const registry = new Registry(store);
    if (!registry.find(deviceId)) throw unknownDevice(deviceId);
    const before = registry.find(deviceId)?.revokedReason;
    const revokedAt = Math.floor(Date.now() / 1000);
    registry.revoke(deviceId, { revokedAt, reason: reason ?? before ?? "" });
    print(`registry: everything of ${deviceId} is refused from now on`);
    const enforcement = await enforce(store, { layout, config, revoked: deviceId });
    sayEvidence(enforcement, `The registry refuses ${deviceId} all the same`);
  });
  print(`Revoked ${deviceId}`);
}

/** Takes a revocation back, in the registry and at the broker. */
export async function restoreDevice(deviceId: string, options: SiteOption): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  await withStore(config, async (store) => {
    const registry = new Registry(store);
    if (!registry.find(deviceId)) throw unknownDevice(deviceId);
    const was = registry.restore(deviceId);
    print(`registry: ${deviceId} is taken again${was ? "" : ", as before: it was not revoked"}`);
    const enforcement = await enforce(store, { layout, config, revoked: undefined });
    sayEvidence(enforcement, `Until then the broker may refuse ${deviceId}`);
  });
  print(`Restored ${deviceId}`);
}

/** Brings what the registry says to the broker. */
export async function enforce(
  store: Database,
  options: { layout: SiteLayout; config: Config; revoked: string | undefined },
): Promise<RevocationResult> {
  const { layout, config, revoked } = options;
  const registry = new Registry(store);
  const nowMs = Date.now();
  const access = await accessOf(layout, config, nowMs);
  return await enforceRevocations(access, () => ({
    denied: registry.list().filter((one) => one.revokedAt !== undefined).map((one) => one.deviceId),
    certificates: registry.revokedCertificates(
      Math.floor(nowMs / 1000) - LISTED_AFTER_END_SECONDS,
    ),
    listNumber: registry.nextRevocationListNumber(),
  }), revoked);
}

/** Prints what was seen; fails where that is not enough. */
export function sayEvidence({ evidence, fault }: RevocationResult, consolation: string): void {
  for (const line of evidence) print(printable(line));
  if (!fault) return;
  print(consolation);
  throw new CommandError(fault.reason, { hint: fault.hint });
}

async function accessOf(layout: SiteLayout, config: Config, nowMs: number): Promise<BrokerAccess> {
  try {
    const ca = await Deno.readTextFile(config.broker.ca);
    const text = await Deno.readTextFile(layout.brokerConfiguration);
    const { host, port } = config.broker;
    return {
      layout,
      nowMs,
      devices: {
        host,
        ca,
        port: Number(/^listener (\d+)/m.exec(text)?.[1] ?? config.devices.port),
      },
      gateway: {
        door: { host, ca, port },
        credential: {
          certificatePem: await Deno.readTextFile(config.broker.certificate),
          keyPem: await Deno.readTextFile(config.broker.key),
        },
      },
    };
  } catch (error) {
    throw new CommandError(`Cannot read the broker's files: ${(error as Error).message}`);
  }
}

function reasonOf(text: string | undefined): string | undefined {
  if (text === undefined || text.length <= REASON_MAX_CHARS) return text;
  throw new CommandError(`Cannot keep the reason: it has over ${REASON_MAX_CHARS} characters`, {
    exit: EXIT.wrongUse,
  });
}
