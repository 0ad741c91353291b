/**
 * Enrolment: new devices with their certificates and bundles, all of them or none.
 *
 * The rules are:
 * - everything is made beside its place first; what can be refused is refused until then;
 * - the bundles take their places while the registry's transaction is open, and a journal says which
 *   they are: where a run breaks off in between, the next one takes away what nobody registered.
 */

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
import type { SiteLayout } from "../layout.ts";

/** A device to come, without what is the same for all. */
export type EnrolmentRequest = Pick<
  DeviceBundleOptions,
  "deviceId" | "secret" | "validDays" | "request" | "onePem"
>;

/** What is the same for all, and who keeps the registry. */
export interface EnrolmentParts {
  readonly layout: SiteLayout;
  readonly nowMs: number;
  readonly brokerHost: string;
  readonly mqttPort: number;
  isRegistered(deviceId: string): boolean;
  /** Registers all in one transaction, which `place` is part of. */
  register(
    devices: readonly { order: EnrolmentRequest; draft: BundleDraft }[],
    place: () => void,
  ): void;
  /** So many are made. */
  progress(done: number): void;
}

/** Where each bundle is, or why there is none, by the place of its order. */
export type EnrolmentResult =
  | { readonly ok: true; readonly places: readonly string[] }
  | { readonly ok: false; readonly faults: readonly { order: number; fault: string }[] };

/** Enrols all devices, or none. */
export async function enrolDevices(
  orders: readonly EnrolmentRequest[],
  parts: EnrolmentParts,
): Promise<EnrolmentResult> {
  return await withAuthorityLock(parts.layout, () => enrol(orders, parts));
}

async function enrol(
  orders: readonly EnrolmentRequest[],
  parts: EnrolmentParts,
): Promise<EnrolmentResult> {
  const { layout } = parts;
  await recover(parts);
  const names = await bundleNames(layout);
  const drafts = await Deno.makeTempDir({ dir: layout.devicesFolder, prefix: DRAFT_PREFIX });
  try {
    const made = await draftAll(orders, drafts, { ...parts, names });
    if ("faults" in made) return { ok: false, faults: made.faults };
    await writeJournal(layout, orders);
    await placeAll(made.drafts, parts);
    await Deno.remove(journalPath(layout));
    return { ok: true, places: made.drafts.map(({ draft }) => draft.to) };
  } finally {
    await Deno.remove(drafts, { recursive: true });
  }
}

async function draftAll(
  orders: readonly EnrolmentRequest[],
  drafts: string,
  parts: EnrolmentParts & { names: ReadonlyMap<string, string> },
): Promise<
  | { drafts: { order: EnrolmentRequest; draft: BundleDraft }[] }
  | { faults: { order: number; fault: string }[] }
> {
  const opened = await openIssuingAuthority(parts.layout);
  if (!opened.ok) {
    return { faults: [{ order: 0, fault: `Cannot issue a certificate: ${opened.fault}` }] };
  }
  const made: { order: EnrolmentRequest; draft: BundleDraft }[] = [];
  const faults: { order: number; fault: string }[] = [];
  for (const [i, order] of orders.entries()) {
    const options = { ...parts, ...order };
    const draft = bundleFault(options, parts.names) ??
      await draftDeviceBundle(opened.authority, drafts, options);
    if (typeof draft === "string") faults.push({ order: i, fault: draft });
    else made.push({ order, draft });
    parts.progress(i + 1);
  }
  return faults.length > 0 ? { faults } : { drafts: made };
}

async function placeAll(
  drafts: readonly { order: EnrolmentRequest; draft: BundleDraft }[],
  parts: EnrolmentParts,
): Promise<void> {
  try {
    parts.register(drafts, () => {
      for (const { draft } of drafts) Deno.renameSync(draft.from, draft.to);
    });
  } catch (error) {
    await recover(parts);
    throw error;
  }
}

/** Takes away what a run that broke off has put into its place and nobody registered. */
async function recover(parts: EnrolmentParts): Promise<void> {
  const { layout } = parts;
  for (const deviceId of await readJournal(layout)) {
    if (!parts.isRegistered(deviceId)) await removeDeviceBundle(layout, deviceId);
  }
  await Deno.remove(journalPath(layout)).catch(ignoreMissing);
}

async function writeJournal(
  layout: SiteLayout,
  orders: readonly EnrolmentRequest[],
): Promise<void> {
  const text = orders.map(({ deviceId }) => `${deviceId}\n`).join("");
  const draft = `${journalPath(layout)}.draft`;
  using file = await Deno.open(draft, { create: true, truncate: true, write: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += await file.write(bytes.subarray(at));
  await file.sync();
  await Deno.rename(draft, journalPath(layout));
}

async function readJournal(layout: SiteLayout): Promise<string[]> {
  const text = await Deno.readTextFile(journalPath(layout)).catch(ignoreMissing) ?? "";
  return text.split("\n").filter((line) => line !== "");
}

function ignoreMissing(error: unknown): undefined {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}

function journalPath({ devicesFolder }: SiteLayout): string {
  return `${devicesFolder}/.enrolment`;
}
