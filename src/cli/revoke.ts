/** `device revoke` and `device restore`: out at once, and back. */

import type { Config } from "../config.ts";
import { Registry } from "../store/registry.ts";
import type { Store } from "../store/store.ts";
import type { SiteLayout } from "../site/layout.ts";
import { type BrokerAccess, type Enforcement, enforceRevocations } from "../site/revocation.ts";
import { unknownDevice } from "./device.ts";
import { configOf, layoutOf, type SiteOption, withStore } from "./site.ts";
import { EXIT, Failure, printable, say } from "./voice.ts";

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
    say(`registry: everything of ${deviceId} is refused from now on`);
    const enforcement = await enforce(store, { layout, config, revoked: deviceId });
    sayEvidence(enforcement, `The registry refuses ${deviceId} all the same`);
  });
  say(`Revoked ${deviceId}`);
}

/** Takes a revocation back, in the registry and at the broker. */
export async function restoreDevice(deviceId: string, options: SiteOption): Promise<void> {
  const layout = layoutOf(options);
  const config = configOf(layout);
  await withStore(config, async (store) => {
    const registry = new Registry(store);
    if (!registry.find(deviceId)) throw unknownDevice(deviceId);
    const was = registry.restore(deviceId);
    say(`registry: ${deviceId} is taken again${was ? "" : ", as before: it was not revoked"}`);
    const enforcement = await enforce(store, { layout, config, revoked: undefined });
    sayEvidence(enforcement, `Until then the broker may refuse ${deviceId}`);
  });
  say(`Restored ${deviceId}`);
}

/** Brings what the registry says to the broker. */
export async function enforce(
  store: Store,
  options: { layout: SiteLayout; config: Config; revoked: string | undefined },
): Promise<Enforcement> {
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
export function sayEvidence({ evidence, fault }: Enforcement, consolation: string): void {
  for (const line of evidence) say(printable(line));
  if (!fault) return;
  say(consolation);
  throw new Failure(fault.reason, { hint: fault.hint });
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
    throw new Failure(`Cannot read the broker's files: ${(error as Error).message}`);
  }
}

function reasonOf(text: string | undefined): string | undefined {
  if (text === undefined || text.length <= REASON_MAX_CHARS) return text;
  throw new Failure(`Cannot keep the reason: it has over ${REASON_MAX_CHARS} characters`, {
    exit: EXIT.wrongUse,
  });
}
