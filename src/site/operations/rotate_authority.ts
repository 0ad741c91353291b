/** Use cases: the devices' authority is rotated, with both trusted in between. */

import type { Database } from "../../store/sqlite/database.ts";
import { Registry } from "../../store/sqlite/registry.ts";
import type { SiteLayout } from "../layout.ts";
import {
  beginRollover,
  currentRollover,
  finishRollover,
  withAuthorityLock,
} from "../pki/authority_rollover.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { RevocationFault, RevocationStep } from "./revocation.ts";

/** One thing that was done; authorities are named by their SHA-256 fingerprints. */
export type RotateAuthorityStep =
  | {
    readonly kind: "authority_issuing";
    readonly authority: string;
    /** The one that is still trusted; absent if there is one authority only. */
    readonly previous?: string;
    /** Devices that have no certificate of the new one. */
    readonly devicesLeft: readonly string[];
  }
  | { readonly kind: "single_authority"; readonly authority: string }
  | { readonly kind: "authority_distrusted"; readonly authority: string }
  | RevocationStep;

/** Why it is not complete. */
export type RotateAuthorityFault =
  | { readonly kind: "rollover_failed"; readonly reason: string }
  | { readonly kind: "devices_left"; readonly devices: readonly string[] }
  | RevocationFault;

/** What was done, in order, and what kept the rest from being done. */
interface RotateAuthorityResult {
  readonly steps: readonly RotateAuthorityStep[];
  readonly fault?: RotateAuthorityFault;
}

/** Makes a new authority, or continues if that was interrupted, and has the broker trust both. */
export async function beginAuthorityRotation(
  store: Database,
  site: OpenSite,
): Promise<RotateAuthorityResult> {
  return await thenUpdateBroker(store, site, () => begin(store, site));
}

/** Distrusts the previous authority; with `force` also if devices would be left behind. */
export async function finishAuthorityRotation(
  store: Database,
  site: OpenSite,
  { force }: { readonly force: boolean },
): Promise<RotateAuthorityResult> {
  return await thenUpdateBroker(store, site, () => finish(store, site, force));
}

async function thenUpdateBroker(
  store: Database,
  site: OpenSite,
  work: () => Promise<RotateAuthorityResult>,
): Promise<RotateAuthorityResult> {
  const done = await locked(site.layout, work);
  if (done.fault) return done;
  const { steps, ...rest } = await updateBroker(store, site);
  return { steps: [...done.steps, ...steps], ...rest };
}

async function locked(
  layout: SiteLayout,
  work: () => Promise<RotateAuthorityResult>,
): Promise<RotateAuthorityResult> {
  try {
    return await withAuthorityLock(layout, work);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return failed(`Cannot move to another authority: ${error.message}`);
    }
    throw error;
  }
}

async function begin(
  store: Database,
  { layout, nowMs }: OpenSite,
): Promise<RotateAuthorityResult> {
  const rollover = await beginRollover(layout, nowMs);
  if (!rollover.ok) return failed(`Cannot move to another authority: ${rollover.fault}`);
  const { issuer, previous } = rollover;
  return {
    steps: [{
      kind: "authority_issuing",
      authority: issuer,
      ...(previous !== undefined && { previous }),
      devicesLeft: devicesLeft(store, issuer),
    }],
  };
}

async function finish(
  store: Database,
  { layout, nowMs }: OpenSite,
  force: boolean,
): Promise<RotateAuthorityResult> {
  const rollover = await currentRollover(layout);
  if (!rollover.ok) return failed(rollover.fault);
  const { issuer, previous } = rollover;
  if (previous === undefined) {
    return { steps: [{ kind: "single_authority", authority: issuer }] };
  }
  const devices = devicesLeft(store, issuer);
  if (devices.length > 0 && !force) {
    return { steps: [], fault: { kind: "devices_left", devices } };
  }
  await finishRollover(layout);
  new Registry(store).withdrawIssuedByOthers(issuer, Math.floor(nowMs / 1000));
  return { steps: [{ kind: "authority_distrusted", authority: previous }] };
}

/** Devices that are not revoked and have no certificate of the issuing authority. */
function devicesLeft(store: Database, issuer: string): string[] {
  const registry = new Registry(store);
  return registry.list().filter(({ revokedAt, deviceId }) =>
    revokedAt === undefined &&
    !registry.certificates(deviceId).some((certificate) => certificate.issuer === issuer)
  ).map(({ deviceId }) => deviceId);
}

function failed(reason: string): RotateAuthorityResult {
  return { steps: [], fault: { kind: "rollover_failed", reason } };
}
