/** Use cases: the devices' authority is rotated, with both trusted in between. */

import { listsBehind } from "../../store/known_nodes.ts";
import type { RegistryStore } from "../../store/registry.ts";
import type { SiteLayout } from "../layout.ts";
import {
  beginRollover,
  currentRollover,
  finishRollover,
  withAuthorityLock,
} from "../pki/authority_rollover.ts";
import type { OpenSite } from "./broker_access.ts";
import { updateBroker } from "./broker_update.ts";
import type { BrokerStore } from "./list_publication.ts";
import type { RevocationStep } from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";
import { secondsOf } from "../../core/time.ts";

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
  store: BrokerStore,
  site: OpenSite,
): Promise<RotateAuthorityResult> {
  return await thenUpdateBroker(store, site, () => begin(store.registry, site));
}

/** Distrusts the previous authority; with `force` also if devices would be left behind. */
export async function finishAuthorityRotation(
  store: BrokerStore,
  site: OpenSite,
  { force }: { readonly force: boolean },
): Promise<RotateAuthorityResult> {
  return await thenUpdateBroker(store, site, () => finish(store, site, force));
}

async function thenUpdateBroker(
  store: BrokerStore,
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
      return failed(error.message);
    }
    throw error;
  }
}

async function begin(
  registry: RegistryStore,
  { layout, nowMs }: OpenSite,
): Promise<RotateAuthorityResult> {
  const rollover = await beginRollover(layout, nowMs);
  if (!rollover.ok) return failed(rollover.fault);
  const { issuer, previous } = rollover;
  return {
    steps: [{
      kind: "authority_issuing",
      authority: issuer,
      ...(previous !== undefined && { previous }),
      devicesLeft: await devicesLeft(registry, issuer),
    }],
  };
}

async function finish(
  store: BrokerStore,
  site: OpenSite,
  force: boolean,
): Promise<RotateAuthorityResult> {
  const { layout, nowMs } = site;
  const rollover = await currentRollover(layout);
  if (!rollover.ok) return failed(rollover.fault);
  const { issuer, previous } = rollover;
  if (previous === undefined) {
    return { steps: [{ kind: "single_authority", authority: issuer }] };
  }
  const { registry } = store;
  const devices = await devicesLeft(registry, issuer);
  if (devices.length > 0 && !force) {
    return { steps: [], fault: { kind: "devices_left", devices } };
  }
  const fault = await nodesLeft(store, site);
  if (fault && !force) return { steps: [], fault };
  await finishRollover(layout);
  await registry.withdrawIssuedByOthers(issuer, secondsOf(nowMs));
  return { steps: [{ kind: "authority_distrusted", authority: previous }] };
}

/** Brokers that may not know the new authority yet: from the end of the move on, only that one signs lists. */
async function nodesLeft(
  { lists, nodes }: BrokerStore,
  { config }: OpenSite,
): Promise<RevocationFault | undefined> {
  if (lists === undefined || nodes === undefined) return undefined;
  const { newest } = await lists.numbers(config.node.name);
  const behind = (await nodes.list()).filter((one) =>
    one.node !== config.node.name && listsBehind(one, newest) > 0
  );
  if (behind.length === 0) return undefined;
  return { kind: "nodes_behind", listNumber: newest, nodes: behind.map(({ node }) => node) };
}

/** Devices that are not revoked and have no certificate of the issuing authority. */
async function devicesLeft(registry: RegistryStore, issuer: string): Promise<string[]> {
  const left: string[] = [];
  for (const { deviceId, revokedAt } of await registry.list()) {
    if (revokedAt !== undefined) continue;
    const certificates = await registry.certificates(deviceId);
    if (!certificates.some((certificate) => certificate.issuer === issuer)) left.push(deviceId);
  }
  return left;
}

function failed(reason: string): RotateAuthorityResult {
  return { steps: [], fault: { kind: "rollover_failed", reason } };
}
