/**
 * Use cases: a device is given a new secret or certificate, and what was before ends.
 *
 * The rules are:
 * - the store first: the device is only given a secret that the gateway accepts;
 * - what the device was seen to use stays valid; an overlap ends only once the new secret was used.
 */

import type { RegistryStore } from "../../store/registry.ts";
import { atomicWrite } from "../atomic_write.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import { createDeviceBundle, secretFileOf } from "./device_bundle.ts";
import type { RevocationFault, RevocationStep } from "./revocation.ts";

/** One thing that was done; times in ISO 8601. */
export type RotateDeviceStep =
  | {
    readonly kind: "secret_rotated";
    readonly deviceId: string;
    /** Undefined if the device has no folder. */
    readonly secretFile?: string;
    readonly previousValidUntil: string;
  }
  | {
    readonly kind: "certificate_issued";
    readonly deviceId: string;
    readonly bundle: string;
    readonly validUntil: string;
  }
  | { readonly kind: "overlap_ended"; readonly deviceId: string; readonly withdrawn: number }
  | RevocationStep;

/** What was done, in order, and what kept the rest from being done. */
export interface RotateDeviceResult {
  readonly steps: readonly RotateDeviceStep[];
  readonly fault?: RotateDeviceFault;
}

/** `secret_unused`: the device has not used its new secret yet. */
export type RotateDeviceFault =
  | { readonly kind: "secret_taken"; readonly holder: string }
  | { readonly kind: "secret_unused" }
  | { readonly kind: "no_certificate"; readonly reason: string }
  | RevocationFault;

/** Where a rotation works: an open site and its registry, whose secrets open. */
export interface RotationSite {
  readonly site: OpenSite;
  readonly registry: RegistryStore;
}

/** Gives a device a new secret; the one that it uses now is good for `overlapSeconds` more. */
export async function rotateSecret(
  { site: { layout, nowMs }, registry }: RotationSite,
  deviceId: string,
  { secret, overlapSeconds }: { readonly secret: string; readonly overlapSeconds: number },
): Promise<RotateDeviceResult> {
  const holder = (await registry.secretHolders()).get(secret);
  if (holder !== undefined) return { steps: [], fault: { kind: "secret_taken", holder } };
  const until = Math.floor(nowMs / 1000) + overlapSeconds;
  await registry.rotateSecret(deviceId, secret, { until });
  const secretFile = await secretFileOf(layout, deviceId);
  if (secretFile !== undefined) await atomicWrite(secretFile, secret);
  return {
    steps: [{
      kind: "secret_rotated",
      deviceId,
      ...(secretFile !== undefined && { secretFile }),
      previousValidUntil: new Date(until * 1000).toISOString(),
    }],
  };
}

/** Gives a device a new key and certificate; the ones before stay valid. */
export async function rotateCertificate(
  { site: { layout, config, nowMs }, registry }: RotationSite,
  deviceId: string,
  { validDays }: { readonly validDays?: number },
): Promise<RotateDeviceResult> {
  const bundle = await createDeviceBundle({
    layout,
    deviceId,
    secret: (await registry.find(deviceId))!.sharedSecret,
    nowMs,
    brokerHost: config.devices.host,
    mqttPort: config.devices.port,
    replace: true,
    ...(validDays !== undefined && { validDays }),
  });
  if (!bundle.ok) return { steps: [], fault: { kind: "no_certificate", reason: bundle.fault } };
  await registry.addCertificate(deviceId, bundle);
  const validUntil = new Date(bundle.notAfter * 1000).toISOString();
  return {
    steps: [{ kind: "certificate_issued", deviceId, bundle: bundle.directory, validUntil }],
  };
}

/** Ends the overlap and revokes all certificates but the newest, also at the broker. */
export async function finishRotation(
  { site, registry }: RotationSite,
  deviceId: string,
  { force }: { readonly force: boolean },
): Promise<RotateDeviceResult> {
  const { generation, previous } = (await registry.find(deviceId))!;
  const uses = await registry.secretUses(deviceId);
  const used = uses.some((use) => use.generation === generation);
  if (previous && !used && !force) return { steps: [], fault: { kind: "secret_unused" } };
  const nowSeconds = Math.floor(site.nowMs / 1000);
  await registry.endOverlap(deviceId, nowSeconds);
  const [newest] = await registry.certificates(deviceId);
  const withdrawn = newest ? await registry.withdrawOthers(deviceId, newest.serial, nowSeconds) : 0;
  const ended = { kind: "overlap_ended", deviceId, withdrawn } as const;
  const revoked = await registry.revokedCertificates(nowSeconds);
  if (revoked.every((one) => one.deviceId !== deviceId)) return { steps: [ended] };
  const { steps, ...rest } = await updateBroker(registry, site);
  return { steps: [ended, ...steps], ...rest };
}
