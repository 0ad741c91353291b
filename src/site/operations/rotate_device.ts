/**
 * Use cases: a device is given a new secret or certificate, and what was before ends.
 *
 * The rules are:
 * - the store first: the device is only given what the gateway accepts, and no certificate exists
 *   that the registry does not know;
 * - a secret or a certificate is drafted beside its place before that, and what breaks off is settled
 *   by the next command (`leftovers.ts`);
 * - what the device was seen to use stays valid; an overlap ends only once the new secret was used.
 */

import { makeOwnedDraftFolder } from "../../config/owned_file.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { basename } from "node:path";
import { exists } from "../exists.ts";
import { deviceFolder } from "../layout.ts";
import { withAuthorityLock } from "../pki/authority_rollover.ts";
import { openIssuingAuthority } from "../pki/device_authorities.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { BrokerStore } from "./list_publication.ts";
import {
  type DeviceBundleOptions,
  DRAFT_PREFIX,
  hasDeviceBundle,
  issueForDevice,
  pemPath,
  writeDraft,
} from "./device_bundle.ts";
import { clearLeftovers, markRotation, moveAway } from "./leftovers.ts";
import { draftSecret } from "./secret_place.ts";
import type { RevocationStep } from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";
import { secondsOf } from "../../core/time.ts";

/** One thing that was done; times in ISO 8601. */
export type RotateDeviceStep =
  | {
    readonly kind: "secret_rotated";
    readonly deviceId: string;
    /** Undefined if it is written nowhere, since the operator gave it. */
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

/** Why it is not complete. */
export type RotateDeviceFault =
  | { readonly kind: "secret_taken"; readonly holder: string }
  /** The device has not used its new secret yet. */
  | { readonly kind: "secret_unused" }
  /** The device's one file has no line for a secret. */
  | { readonly kind: "secret_line_missing"; readonly path: string }
  | { readonly kind: "certificate_not_issued"; readonly reason: string }
  | RevocationFault;

/** Where a rotation works: an open site and its registry, whose secrets open. */
export interface RotationSite {
  readonly site: OpenSite;
  readonly store: BrokerStore;
}

/** Gives a device a new secret; the one that it uses now is good for `overlapSeconds` more. */
export async function rotateSecret(
  { site: { layout, nowMs }, store: { registry } }: RotationSite,
  deviceId: string,
  { secret, isKnown, overlapSeconds }: {
    readonly secret: string;
    /** The operator has it, so without a bundle it is written nowhere. */
    readonly isKnown: boolean;
    readonly overlapSeconds: number;
  },
): Promise<RotateDeviceResult> {
  return await withAuthorityLock(layout, async () => {
    await clearLeftovers({ layout, registry, nowMs });
    const holder = (await registry.secretHolders()).get(secret);
    if (holder !== undefined) return { steps: [], fault: { kind: "secret_taken", holder } };
    const until = secondsOf(nowMs) + overlapSeconds;
    const draft = isKnown && !await hasDeviceBundle(layout, deviceId)
      ? undefined
      : await draftSecret(layout, deviceId, secret);
    if (draft && !draft.ok) {
      return { steps: [], fault: { kind: "secret_line_missing", path: draft.path } };
    }
    try {
      const { generation } = (await registry.find(deviceId))!;
      if (draft) await markRotation(layout, deviceId, { generation: generation + 1 });
      await registry.rotateSecret(deviceId, secret, { until });
    } catch (error) {
      await draft?.replacement.discard();
      throw error;
    }
    await draft?.replacement.place();
    await clearLeftovers({ layout, registry, nowMs });
    return {
      steps: [{
        kind: "secret_rotated",
        deviceId,
        ...(draft && { secretFile: draft.path }),
        previousValidUntil: new Date(until * 1000).toISOString(),
      }],
    };
  });
}

/** What a new certificate may be given; a public key is that of a request. */
type CertificateOptions = Pick<DeviceBundleOptions, "validDays" | "publicKey" | "keyType">;

/** Gives a device a new key and certificate; the ones before stay valid. */
export async function rotateCertificate(
  { site: { layout, config, nowMs }, store: { registry } }: RotationSite,
  deviceId: string,
  options: CertificateOptions,
): Promise<RotateDeviceResult> {
  return await withAuthorityLock(layout, async () => {
    await clearLeftovers({ layout, registry, nowMs });
    const { directory } = deviceFolder(layout, deviceId);
    const bundle = await renewBundle(registry, {
      ...options,
      layout,
      deviceId,
      secret: (await registry.find(deviceId))!.sharedSecret,
      nowMs,
      brokerHost: config.devices.host,
      mqttPort: config.devices.port,
      onePem: !await exists(directory) && await exists(pemPath(directory)),
    });
    if (!bundle.ok) return { steps: [], fault: bundle.fault };
    const { place, notAfter } = bundle;
    const validUntil = new Date(notAfter * 1000).toISOString();
    return { steps: [{ kind: "certificate_issued", deviceId, bundle: place, validUntil }] };
  });
}

/** Registers the certificate before it is on the disk, then puts the bundle in place. */
async function renewBundle(
  registry: RegistryStore,
  options: DeviceBundleOptions,
): Promise<
  | { ok: true; place: string; notAfter: number }
  | { ok: false; fault: RotateDeviceFault }
> {
  const { layout, deviceId, nowMs } = options;
  const opened = await openIssuingAuthority(layout, options);
  if (!opened.ok) {
    return { ok: false, fault: { kind: "certificate_not_issued", reason: opened.fault } };
  }
  const issued = await issueForDevice(opened.authority, options);
  await markRotation(layout, deviceId, { serial: issued.serial });
  try {
    await registry.addCertificate(deviceId, issued);
    const drafts = makeOwnedDraftFolder(layout.devicesFolder, DRAFT_PREFIX);
    const draft = writeDraft(issued, drafts, options);
    await moveAway(layout, basename(draft.to));
    await Deno.rename(draft.from, draft.to);
    await clearLeftovers({ layout, registry, nowMs });
    return { ok: true, place: draft.to, notAfter: issued.notAfter };
  } catch (error) {
    // If that fails too, the next command does it.
    await clearLeftovers({ layout, registry, nowMs }).catch(() => {});
    throw error;
  }
}

/** Ends the overlap and revokes all certificates but the newest, also at the broker. */
export async function finishRotation(
  { site, store }: RotationSite,
  deviceId: string,
  { force }: { readonly force: boolean },
): Promise<RotateDeviceResult> {
  const { layout, nowMs } = site;
  const { registry } = store;
  await withAuthorityLock(layout, () => clearLeftovers({ layout, registry, nowMs }));
  const { generation, previous } = (await registry.find(deviceId))!;
  const uses = await registry.secretUses(deviceId);
  const used = uses.some((use) => use.generation === generation);
  if (previous && !used && !force) return { steps: [], fault: { kind: "secret_unused" } };
  const nowSeconds = secondsOf(site.nowMs);
  await registry.endOverlap(deviceId, nowSeconds);
  const [newest] = await registry.certificates(deviceId);
  const withdrawn = newest ? await registry.withdrawOthers(deviceId, newest.serial, nowSeconds) : 0;
  const ended = { kind: "overlap_ended", deviceId, withdrawn } as const;
  const revoked = await registry.revokedCertificates(nowSeconds);
  if (revoked.every((one) => one.deviceId !== deviceId)) return { steps: [ended] };
  const { steps, ...rest } = await updateBroker(store, site);
  return { steps: [ended, ...steps], ...rest };
}
