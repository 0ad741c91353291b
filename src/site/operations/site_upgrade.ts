/**
 * Use case: the broker's access lists of a site that an older version made are brought up to date.
 *
 * The rules are:
 * - lines are only added: what the operator changed or added stays;
 * - what would be changed can be looked at first, and a site that lacks nothing is not changed;
 * - the broker is told only after every list was checked, and it is proved that it uses the new
 *   lines; one that does not run reads them when it starts.
 */

import type { SiteLayout } from "../layout.ts";
import { isListening } from "../mosquitto/access_probe.ts";
import { openDeviceAuthorities } from "../pki/device_authorities.ts";
import { type BrokerAccess, type OpenSite, readBrokerAccess } from "./broker_access.ts";
import { type AccessList, listFaults, readAccessLists } from "./broker_lists.ts";
import { accessOf, probeName } from "./broker_probe.ts";
import { updateBrokers } from "./broker_update.ts";
import { EnforcementError } from "./enforcement_error.ts";
import type { BrokerStore } from "./list_publication.ts";
import { faultOf, type RevocationStep } from "./revocation.ts";
import type { RevocationFault } from "./revocation_fault.ts";

/** The files that would be changed, none if the site is up to date; or why that cannot be told. */
type UpgradePlan =
  | { readonly ok: true; readonly changes: readonly AccessList[] }
  | { readonly ok: false; readonly fault: RevocationFault };

/** One thing that was done or seen. */
export type UpgradeStep =
  | { readonly kind: "nothing_missing" }
  | { readonly kind: "broker_not_running"; readonly reason: string }
  | RevocationStep;

/** What was done, in order; with a fault, the broker does not use the lines that were added. */
interface UpgradeResult {
  readonly steps: readonly UpgradeStep[];
  readonly fault?: RevocationFault;
}

/** Looks at what a site lacks; changes nothing. */
export async function planUpgrade(layout: SiteLayout): Promise<UpgradePlan> {
  try {
    return { ok: true, changes: await changesOf(layout) };
  } catch (error) {
    return { ok: false, fault: faultOrBug(error) };
  }
}

/** Adds what the site lacks, and has the broker use it. */
export async function upgradeSite(
  store: BrokerStore,
  site: OpenSite,
): Promise<UpgradeResult> {
  const [read, plan] = [await readBrokerAccess(site), await planUpgrade(site.layout)];
  if (!read.ok) return { steps: [], fault: read.fault };
  if (!plan.ok) return { steps: [], fault: plan.fault };
  const looked = plan.changes.length === 0 ? await lookAtBroker(read.access) : undefined;
  if (looked !== undefined) return looked;
  const own = { access: read.access, node: site.config.node.name };
  const { steps, fault } = await updateBrokers(store, own, { upgrade: true });
  if (fault?.kind !== "broker_not_running") return { steps, ...(fault && { fault }) };
  return { steps: [...steps, { kind: "broker_not_running", reason: fault.reason }] };
}

async function changesOf(layout: SiteLayout): Promise<AccessList[]> {
  const lists = Object.values(await readAccessLists(layout));
  const faults = lists.flatMap(listFaults);
  if (faults.length > 0) throw new EnforcementError({ kind: "lists_unusable", faults });
  return lists.filter(({ missing }) => missing.length > 0);
}

/** The broker of a site whose files lack nothing; undefined if it still uses older ones. */
async function lookAtBroker(access: BrokerAccess): Promise<UpgradeResult | undefined> {
  const steps: UpgradeStep[] = [{ kind: "nothing_missing" }];
  const { host, port } = access.gateway.listener;
  if (!await isListening(access.gateway.listener)) {
    const reason = `nothing listens at ${host}:${port}`;
    return { steps: [...steps, { kind: "broker_not_running", reason }] };
  }
  try {
    if (!await receivesReceipts(access)) return undefined;
    return { steps: [...steps, { kind: "receipt_received" }] };
  } catch (error) {
    return { steps, fault: faultOrBug(error) };
  }
}

async function receivesReceipts(access: BrokerAccess): Promise<boolean> {
  const opened = await openDeviceAuthorities(access.layout);
  if (!opened.ok) throw new EnforcementError({ kind: "probe_not_made", reason: opened.fault });
  const [authority] = opened.authorities;
  const probe = { name: probeName(), speak: false };
  return (await accessOf(access, authority, probe)).canReceiveReceipts;
}

function faultOrBug(error: unknown): RevocationFault {
  const fault = faultOf(error);
  if (fault === undefined) throw error;
  return fault;
}
