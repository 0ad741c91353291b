/**
 * Enrolment: new devices with their certificates and bundles, all of them or none.
 *
 * The rules are:
 * - everything is made beside its place first; what can be refused is refused until then;
 * - the bundles take their places right before the devices are registered, and a journal says which
 *   they are: if a run breaks off in between, the next one takes away what was not registered, and
 *   withdraws the certificates in it.
 */

import type { RegistryStore } from "../../store/registry.ts";
import { withAuthorityLock } from "../pki/authority_rollover.ts";
import { openIssuingAuthority } from "../pki/device_authorities.ts";
import {
  type BundleDraft,
  bundleFault,
  bundleNames,
  type DeviceBundleOptions,
  DRAFT_PREFIX,
  draftDeviceBundle,
  removeDeviceBundle,
} from "./device_bundle.ts";
import { registerDevices } from "./device_registration.ts";
import { type EnrolmentFault, enrolmentFaults, notRegistered } from "./enrolment_fault.ts";
import { clearLeftovers, withdrawUnregistered } from "./leftovers.ts";
import type { SiteLayout } from "../layout.ts";
import { readText } from "../../config/operator_file.ts";
import { makeOwnedDraftFolder } from "../../config/owned_file.ts";
import { writeWhole } from "../atomic_write.ts";
import { ignoreMissing } from "../exists.ts";
import { secondsOf } from "../../core/time.ts";

/** A device to come, without what is the same for all. */
export type EnrolmentRequest = Pick<
  DeviceBundleOptions,
  "deviceId" | "secret" | "validDays" | "publicKey" | "keyType" | "onePem"
>;

/** Where devices are enrolled. */
interface RecoveryParts {
  readonly layout: SiteLayout;
  readonly nowMs: number;
  readonly registry: RegistryStore;
  /** The revocation list is to name what an earlier run has left. */
  onWithdrawn?(): Promise<unknown>;
}

/** What is the same for all. */
interface EnrolmentParts extends RecoveryParts {
  readonly brokerHost: string;
  readonly mqttPort: number;
  /** So many are made. */
  progress?(done: number): void;
}

/** Where each bundle is, by the place of its request, or why there is none. */
type EnrolmentResult =
  | { readonly ok: true; readonly places: readonly string[] }
  | { readonly ok: false; readonly faults: readonly EnrolmentFault[] };

interface Draft {
  readonly request: EnrolmentRequest;
  readonly bundle: BundleDraft;
}

/** Enrols all devices, or none. */
export async function enrolDevices(
  requests: readonly EnrolmentRequest[],
  parts: EnrolmentParts,
): Promise<EnrolmentResult> {
  return await withAuthorityLock(parts.layout, () => enrol(requests, parts));
}

/** Everything that keeps devices from being enrolled, one fault each; nothing is made. */
export async function checkEnrolment(
  requests: readonly EnrolmentRequest[],
  parts: RecoveryParts,
): Promise<readonly EnrolmentFault[]> {
  return await withAuthorityLock(parts.layout, async () => {
    await recover(parts);
    return await faultsOf(requests, parts);
  });
}

async function enrol(
  requests: readonly EnrolmentRequest[],
  parts: EnrolmentParts,
): Promise<EnrolmentResult> {
  const { layout } = parts;
  await recover(parts);
  const known = await faultsOf(requests, parts);
  if (known.length > 0) return { ok: false, faults: known };
  const folder = makeOwnedDraftFolder(layout.devicesFolder, DRAFT_PREFIX);
  try {
    const made = await draftAll(requests, folder, parts);
    if ("faults" in made) return { ok: false, faults: made.faults };
    await writeJournal(layout, requests);
    const faults = await placeAll(made.drafts, parts);
    if (faults.length > 0) return { ok: false, faults };
    await Deno.remove(journalPath(layout));
    return { ok: true, places: made.drafts.map(({ bundle }) => bundle.to) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function faultsOf(
  requests: readonly EnrolmentRequest[],
  { layout, registry }: RecoveryParts,
): Promise<EnrolmentFault[]> {
  const faults = await enrolmentFaults(requests, registry);
  const found = new Set(faults.map(({ place }) => place));
  const names = await bundleNames(layout);
  for (const [place, { deviceId }] of requests.entries()) {
    const fault = found.has(place) ? undefined : bundleFault({ layout, deviceId }, names);
    if (fault !== undefined) faults.push({ place, ...fault });
  }
  return faults.sort((a, b) => (a.place ?? 0) - (b.place ?? 0));
}

async function draftAll(
  requests: readonly EnrolmentRequest[],
  folder: string,
  parts: EnrolmentParts,
): Promise<{ drafts: Draft[] } | { faults: EnrolmentFault[] }> {
  const opened = await openIssuingAuthority(parts.layout, parts);
  if (!opened.ok) {
    const { fault: reason } = opened;
    return { faults: [{ place: undefined, kind: "certificate_not_issued", reason }] };
  }
  const drafts: Draft[] = [];
  for (const request of requests) {
    const options = { ...parts, ...request };
    drafts.push({ request, bundle: await draftDeviceBundle(opened.authority, folder, options) });
    parts.progress?.(drafts.length);
  }
  return { drafts };
}

/** Puts the bundles into place and registers their devices, all of them or none. */
async function placeAll(
  drafts: readonly Draft[],
  parts: EnrolmentParts,
): Promise<readonly EnrolmentFault[]> {
  const createdAt = secondsOf(parts.nowMs);
  const devices = drafts.map(({ request, bundle: { certificate } }) => {
    return { deviceId: request.deviceId, sharedSecret: request.secret, createdAt, certificate };
  });
  const placed: Draft[] = [];
  const fault = await moveIntoPlace(drafts, placed);
  const faults = fault ? [fault] : await registerDevices(parts.registry, devices);
  if (faults.length > 0) {
    await takeBack(placed, parts.registry);
    await Deno.remove(journalPath(parts.layout));
  }
  return faults;
}

/** Lists in `placed`, as it goes, what it moved; resolves to what kept it from the rest. */
async function moveIntoPlace(
  drafts: readonly Draft[],
  placed: Draft[],
): Promise<EnrolmentFault | undefined> {
  try {
    for (const draft of drafts) {
      await Deno.rename(draft.bundle.from, draft.bundle.to);
      placed.push(draft);
    }
    return undefined;
  } catch (error) {
    return notRegistered(error as Error);
  }
}

/** Another program may have registered the same id: then its device is not the bundle's. */
async function takeBack(placed: readonly Draft[], registry: RegistryStore): Promise<void> {
  for (const { request: { deviceId }, bundle: { certificate, from, to } } of placed) {
    const certificates = await registry.certificates(deviceId);
    if (certificates.some(({ serial }) => serial === certificate.serial)) continue;
    await Deno.rename(to, from);
  }
}

/** Takes away what a run that broke off has put into its place and what was not registered. */
async function recover(parts: RecoveryParts): Promise<void> {
  const { layout, registry } = parts;
  await clearLeftovers(parts);
  let isWithdrawn = false;
  for (const deviceId of await readJournal(layout)) {
    if (await registry.find(deviceId)) continue;
    if (await withdrawUnregistered(parts, deviceId)) isWithdrawn = true;
    await removeDeviceBundle(layout, deviceId);
  }
  await Deno.remove(journalPath(layout)).catch(ignoreMissing);
  if (isWithdrawn) await parts.onWithdrawn?.();
}

async function writeJournal(
  layout: SiteLayout,
  requests: readonly EnrolmentRequest[],
): Promise<void> {
  const text = requests.map(({ deviceId }) => `${deviceId}\n`).join("");
  await writeWhole(journalPath(layout), text, 0o600);
}

async function readJournal(layout: SiteLayout): Promise<string[]> {
  const text = await readText(journalPath(layout)).catch(ignoreMissing) ?? "";
  return text.split("\n").filter((line) => line !== "");
}

function journalPath({ devicesFolder }: SiteLayout): string {
  return `${devicesFolder}/.enrolment`;
}
