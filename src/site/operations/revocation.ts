/**
 * Brings the registry's revocations to the broker, and what its access lists lack, and proves that
 * they hold there.
 *
 * The rules are:
 * - every list is written again from the registry, so that a run that broke off is made up for;
 * - nothing is told before it was checked and written;
 * - a broker that turns out to let one device publish as another is stopped.
 */

import type { Insertion } from "../mosquitto/access_list.ts";
import {
  type Access,
  connectError,
  type Credential,
  isListening,
} from "../mosquitto/access_probe.ts";
import { reloadBroker, stopBroker } from "../mosquitto/reload.ts";
import type { Authority } from "../pki/authority.ts";
import { SiteLockedError, waitForLock } from "../site_lock.ts";
import type { BrokerAccess } from "./broker_access.ts";
import { type BrokerLists, makeLists, type Revocations, writeLists } from "./broker_lists.ts";
import { accessOf, probeName } from "./broker_probe.ts";
import { EnforcementError } from "./enforcement_error.ts";
import { type BrokerStore, publishLists } from "./list_publication.ts";
import type { EndTarget } from "./published_lists.ts";
import type { RevocationFault } from "./revocation_fault.ts";

/** One thing that was done or seen at the broker. */
export type RevocationStep =
  | {
    readonly kind: "revocation_list_written";
    readonly listNumber: number;
    readonly certificates: number;
    /** Those of the target among them; absent without one. */
    readonly certificatesOfDevice?: number;
    readonly deviceId?: string;
  }
  | { readonly kind: "access_list_written"; readonly deniedDevices: number }
  | {
    /** The access list at `path` has these lines now. */
    readonly kind: "access_list_upgraded";
    readonly path: string;
    readonly added: readonly Insertion[];
  }
  /** The brokers of other gateways are to have them. */
  | { readonly kind: "lists_published"; readonly listNumber: number }
  /** Lists that another machine has made are in place. */
  | {
    readonly kind: "lists_placed";
    readonly listNumber: number;
    readonly deniedDevices: number;
  }
  | { readonly kind: "broker_reloaded"; readonly pid: number }
  /** The broker of another gateway was proved to use lists of this number, which is ours or higher. */
  | { readonly kind: "node_follows"; readonly node: string; readonly listNumber: number }
  /** It was not, though the gateway is at work; or it is away, and follows when it is back. */
  | {
    readonly kind: "node_behind" | "node_away";
    readonly node: string;
    /** Of the lists that it uses, if it is known. */
    readonly listNumber?: number;
    readonly reason?: string;
  }
  | { readonly kind: "listed_certificate_refused"; readonly reason: string }
  | { readonly kind: "access_verified" }
  | { readonly kind: "receipt_received" }
  | { readonly kind: "device_denied"; readonly deviceId: string }
  | {
    readonly kind: "connection_ended";
    readonly deviceId: string;
    readonly canReconnect: boolean;
  };

/** What was done and seen, in order; with a fault, the broker does not use the newest lists. */
export interface RevocationResult {
  readonly steps: readonly RevocationStep[];
  readonly fault?: RevocationFault;
}

const RELOAD_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/** What is done besides. */
export interface EnforceOptions {
  readonly target?: EndTarget;
  /** Add what the access lists of an older site lack. */
  readonly upgrade?: boolean;
}

/** Writes all lists, has the broker read them, and proves that it does. */
export async function enforceRevocations(
  store: BrokerStore,
  access: BrokerAccess,
  { target, upgrade = false }: EnforceOptions = {},
): Promise<RevocationResult> {
  const steps: RevocationStep[] = [];
  try {
    // One at a time: an older reading of the registry must not overwrite a newer one.
    using _lock = await waitForLock(access.layout, "broker");
    const signed = await publishLists(store, access, target);
    const { revocations } = signed;
    if (store.lists) {
      steps.push({ kind: "lists_published", listNumber: revocations.listNumber });
    }
    const lists = await makeLists(access, signed, { upgrade });
    await writeLists(lists);
    steps.push(...listsWritten(revocations, lists, target));
    await reload(access, lists, steps);
    await prove(access, lists, { target, upgrade, steps });
    return { steps };
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    if (target && await endConnection(access, target.deviceId)) {
      steps.push({ kind: "connection_ended", deviceId: target.deviceId, canReconnect: true });
    }
    return { steps, fault };
  }
}

/** What keeps the broker from its lists; undefined for a fault of ours. */
export function faultOf(error: unknown): RevocationFault | undefined {
  if (error instanceof SiteLockedError) {
    return { kind: "site_locked", reason: error.message, hint: error.hint };
  }
  if (error instanceof EnforcementError) return error.fault;
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
    return { kind: "broker_files_refused", reason: error.message };
  }
  return undefined;
}

function listsWritten(
  { certificates, denied, listNumber }: Revocations,
  { upgraded }: BrokerLists,
  target: EndTarget | undefined,
): RevocationStep[] {
  const deviceId = target?.deviceId;
  const certificatesOfDevice = certificates.filter((one) => one.deviceId === deviceId).length;
  return [
    {
      kind: "revocation_list_written",
      listNumber,
      certificates: certificates.length,
      ...(deviceId !== undefined && { deviceId, certificatesOfDevice }),
    },
    { kind: "access_list_written", deniedDevices: denied.length },
    ...upgraded.map(({ path, missing }) =>
      ({ kind: "access_list_upgraded", path, added: missing }) as const
    ),
  ];
}

/** Has the broker read its lists, and waits until it refuses the proof. */
export async function reload(
  access: BrokerAccess,
  { proof }: { readonly proof: Credential },
  steps: RevocationStep[],
): Promise<void> {
  const told = await reloadBroker(access.layout);
  if (!told.told) {
    const { reason, hint } = told;
    const isRunning = await isListening(access.gateway.listener);
    const kind = isRunning ? "broker_not_told" : "broker_not_running";
    throw new EnforcementError({ kind, reason, hint });
  }
  steps.push({ kind: "broker_reloaded", pid: told.pid });
  const reason = await refusalInTime(access, proof);
  steps.push({ kind: "listed_certificate_refused", reason });
}

/** Waits until the broker refuses the certificate that is on the newest list only. */
async function refusalInTime(
  { devices }: BrokerAccess,
  proof: Credential,
): Promise<string> {
  const endMs = performance.now() + RELOAD_TIMEOUT_MS;
  let last: string | undefined;
  while (performance.now() < endMs) {
    last = await connectError(devices, proof, probeName());
    if (saysRevoked(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new EnforcementError(
    last === undefined ? { kind: "list_ignored" } : { kind: "list_unconfirmed", reason: last },
  );
}

/** True for a refusal that is about the list, in OpenSSL's words. */
export function saysRevoked(reason: string | undefined): reason is string {
  return reason !== undefined && /revoked/i.test(reason);
}

/** Connects as a device that is not revoked, and as the target, with certificates that are not revoked. */
async function prove(
  access: BrokerAccess,
  { authority }: BrokerLists,
  { target, upgrade, steps }: {
    target: EndTarget | undefined;
    upgrade: boolean;
    steps: RevocationStep[];
  },
): Promise<void> {
  const innocent = await accessOf(access, authority, { name: probeName(), speak: false });
  steps.push(await requireApart(access, innocent));
  if (upgrade && !innocent.canReceiveReceipts) {
    throw new EnforcementError({ kind: "receipt_not_received" });
  }
  if (upgrade) steps.push({ kind: "receipt_received" });
  if (target?.because === "revoked") await proveDenied(access, authority, { target, steps });
  if (target?.because === "removed") await proveEnded(access, target, steps);
}

/** A device that is not revoked receives, and cannot speak for others; otherwise the broker is stopped. */
export async function requireApart(
  { layout }: BrokerAccess,
  { canPublishAsOthers, canReceive }: Access,
): Promise<Extract<RevocationStep, { readonly kind: "access_verified" }>> {
  if (canPublishAsOthers) {
    throw new EnforcementError({ kind: "broker_open", stopped: await stopBroker(layout) });
  }
  if (!canReceive) throw new EnforcementError({ kind: "devices_cut_off" });
  return { kind: "access_verified" };
}

async function proveDenied(
  access: BrokerAccess,
  authority: Authority,
  { target: { deviceId }, steps }: { target: EndTarget; steps: RevocationStep[] },
): Promise<void> {
  const allowed = await accessOf(access, authority, { name: deviceId, speak: true });
  if (allowed.canPublish || allowed.canReceive || allowed.canPublishAsOthers) {
    const can = allowed.canReceive ? "receive" : "publish";
    throw new EnforcementError({ kind: "device_not_denied", deviceId, can });
  }
  steps.push({ kind: "device_denied", deviceId });
}

/** A removed device's id is free again, so no topic is denied to it: its certificates are refused. */
async function proveEnded(
  access: BrokerAccess,
  { deviceId }: EndTarget,
  steps: RevocationStep[],
): Promise<void> {
  if (!await endConnection(access, deviceId)) {
    throw new EnforcementError({ kind: "connection_not_ended", deviceId });
  }
  steps.push({ kind: "connection_ended", deviceId, canReconnect: false });
}

/** Takes the client id over, which ends its connection (MQTT 5 §3.1.4); false if that failed. */
export async function endConnection({ gateway }: BrokerAccess, deviceId: string): Promise<boolean> {
  // A client id is one for all listeners: the gateway's own certificate can take it over.
  return await connectError(gateway.listener, gateway.credential, deviceId) === undefined;
}
