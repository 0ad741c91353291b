/**
 * Brings the registry's revocations to the broker, and proves that they hold there.
 *
 * The rules are:
 * - every list is written again from the registry, so that a run that broke off is made up for;
 * - nothing is written or told before it was checked: a reload with a list that Mosquitto cannot
 *   read would open the door instead of closing it;
 * - each revocation list names the certificate of a probe that was made for it: when that one is
 *   refused, the broker uses this list and no older one;
 * - a broker that turns out to let one device publish as another is stopped.
 */

import type { RevokedDeviceCertificate } from "../../store/device_record.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { accessListFaults, deviceListFaults, withDenials } from "../mosquitto/access_list.ts";
import {
  type Authority,
  createRevocationList,
  fingerprintOf,
  issueClientCertificate,
  type IssuedCertificate,
  revocationListNames,
} from "../pki/authority.ts";
import type { BrokerAccess } from "./broker_access.ts";
import type { BrokerFileFault, RevocationFault } from "./revocation_fault.ts";
import { reloadBroker, stopBroker } from "../mosquitto/reload.ts";
import {
  type Access,
  connectError,
  type Listener,
  probeAccess,
} from "../mosquitto/access_probe.ts";
import { openDeviceAuthorities } from "../pki/device_authorities.ts";
import type { SiteLayout } from "../layout.ts";
import { atomicWrite } from "../atomic_write.ts";
import { SiteLockedError, waitForLock } from "../site_lock.ts";
import { keyPairFault } from "../../config/credentials.ts";
import { readText } from "../../config/operator_file.ts";

/** What the broker's lists are made of, read from the registry under the lock. */
interface Revocations {
  /** Ids of the revoked devices. */
  readonly denied: readonly string[];
  /** Every certificate that belongs on the list. */
  readonly certificates: readonly RevokedDeviceCertificate[];
  /** Higher than that of every list before. */
  readonly listNumber: number;
}

/** The device that was revoked or removed just now, whose connection is to be ended. */
export interface Target {
  readonly deviceId: string;
  readonly because: "revoked" | "removed";
}

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
  | { readonly kind: "broker_reloaded"; readonly pid: number }
  | { readonly kind: "listed_certificate_refused"; readonly reason: string }
  | { readonly kind: "access_verified" }
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

interface Lists {
  readonly accessList: string;
  readonly revocationList: string;
  readonly authority: Authority;
  /** Its certificate is on the list. */
  readonly proof: IssuedCertificate;
}

/** A certificate that has expired needs no list, except for clocks that differ. */
const LISTED_AFTER_END_SECONDS = 30 * 86_400;
/** A probe's certificate is of no use soon after. */
const PROBE_DAYS = 1;
const RELOAD_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/** Writes both lists, has the broker read them, and proves that it does. */
export async function enforceRevocations(
  registry: RegistryStore,
  access: BrokerAccess,
  target: Target | undefined,
): Promise<RevocationResult> {
  const steps: RevocationStep[] = [];
  try {
    // One at a time: an older reading of the registry must not overwrite a newer one.
    using _lock = await waitForLock(access.layout, "broker");
    const revocations = await readRevocations(registry, access.nowMs);
    const lists = await makeLists(access, revocations);
    await writeLists(access.layout, lists);
    steps.push(...listsWritten(revocations, target));
    await reload(access, lists, steps);
    await prove(access, lists, { target, steps });
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

async function readRevocations(registry: RegistryStore, nowMs: number): Promise<Revocations> {
  const devices = await registry.list();
  return {
    denied: devices.filter((one) => one.revokedAt !== undefined).map((one) => one.deviceId),
    certificates: await registry.revokedCertificates(
      Math.floor(nowMs / 1000) - LISTED_AFTER_END_SECONDS,
    ),
    listNumber: await registry.nextRevocationListNumber(),
  };
}

/** The broker does not use the newest lists. */
class EnforcementError extends Error {
  override readonly name = "EnforcementError";
  readonly fault: RevocationFault;

  constructor(fault: RevocationFault) {
    super(fault.kind);
    this.fault = fault;
  }
}

/** What keeps the broker from its lists; undefined for a fault of ours. */
function faultOf(error: unknown): RevocationFault | undefined {
  if (error instanceof SiteLockedError) {
    return { kind: "site_locked", reason: error.message, hint: error.hint };
  }
  if (error instanceof EnforcementError) return error.fault;
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
    return { kind: "broker_files_refused", reason: error.message };
  }
  return undefined;
}

async function makeLists(access: BrokerAccess, revocations: Revocations): Promise<Lists> {
  const { layout, nowMs } = access;
  const opened = await openDeviceAuthorities(layout);
  if (!opened.ok) throw new EnforcementError({ kind: "list_not_signed", reason: opened.fault });
  const [authority] = opened.authorities;
  const proof = await issueClientCertificate(authority, {
    commonName: probeName(),
    nowMs,
    days: PROBE_DAYS,
  });
  const lists = await Promise.all(
    opened.authorities.map((one) => listOf(one, proof, { ...revocations, nowMs })),
  );
  const accessList = withDenials(await readText(layout.aclDevices), revocations.denied);
  const made = { accessList, revocationList: lists.join(""), authority, proof };
  const faults = await faultsOf(layout, made);
  if (faults.length > 0) throw new EnforcementError({ kind: "lists_unusable", faults });
  return made;
}

/** An authority's list; a certificate whose issuer is not known is on every one. */
async function listOf(
  authority: Authority,
  proof: IssuedCertificate,
  { certificates, listNumber, nowMs }: Revocations & { nowMs: number },
): Promise<string> {
  const issuer = fingerprintOf(authority.certificatePem);
  const own = certificates.filter((one) => (one.issuer ?? issuer) === issuer);
  const revoked = own.map(({ serial, revokedAt }) => ({ serial, revokedAtMs: revokedAt * 1000 }));
  if (proof.issuer === issuer) revoked.push({ serial: proof.serial, revokedAtMs: nowMs });
  const pem = await createRevocationList(authority, { revoked, number: listNumber, nowMs });
  const serials = revoked.map(({ serial }) => serial);
  if (await revocationListNames(pem, authority, serials)) return pem;
  throw new Error("The revocation list does not contain what was put into it");
}

/** Everything that a reload reads, looked at beforehand. */
async function faultsOf(layout: SiteLayout, lists: Lists): Promise<BrokerFileFault[]> {
  const { brokerConfiguration, aclDevices, aclGateway } = layout;
  const configuration = (await readText(brokerConfiguration)).split("\n");
  const needed = [
    `cafile ${layout.deviceCa.certificate}`,
    `crlfile ${layout.revocationList}`,
    `acl_file ${aclDevices}`,
    `acl_file ${aclGateway}`,
  ];
  const missing = needed.filter((line) => !configuration.includes(line));
  const unreadable = (path: string) => (reason: string) =>
    ({ kind: "list_unreadable", path, reason }) as const;
  const unpaired = keyPairFault(layout.broker);
  return [
    ...missing.map((line) => ({ kind: "line_missing", path: brokerConfiguration, line }) as const),
    ...deviceListFaults(lists.accessList).map(unreadable(aclDevices)),
    ...accessListFaults(await readText(aclGateway)).map(unreadable(aclGateway)),
    ...(unpaired === undefined ? [] : [{ kind: "credential_unusable", reason: unpaired } as const]),
  ];
}

async function writeLists(layout: SiteLayout, lists: Lists): Promise<void> {
  try {
    await atomicWrite(layout.revocationList, lists.revocationList);
    await atomicWrite(layout.aclDevices, lists.accessList);
  } catch (error) {
    throw new EnforcementError({ kind: "lists_not_written", reason: (error as Error).message });
  }
}

function listsWritten(revocations: Revocations, target: Target | undefined): RevocationStep[] {
  const { certificates, denied, listNumber } = revocations;
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
  ];
}

async function reload(
  access: BrokerAccess,
  { proof }: Lists,
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

async function isListening({ host: hostname, port }: Listener): Promise<boolean> {
  try {
    (await Deno.connect({ hostname, port })).close();
    return true;
  } catch (error) {
    // Any other failure leaves open whether somebody is connected.
    return !(error instanceof Deno.errors.ConnectionRefused);
  }
}

/** Waits until the broker refuses the certificate that is on the newest list only. */
async function refusalInTime(
  { devices }: BrokerAccess,
  proof: IssuedCertificate,
): Promise<string> {
  const endMs = performance.now() + RELOAD_TIMEOUT_MS;
  let last: string | undefined;
  while (performance.now() < endMs) {
    last = await connectError(devices, proof, probeName());
    if (last !== undefined && /revoked/i.test(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new EnforcementError(
    last === undefined ? { kind: "list_ignored" } : { kind: "list_unconfirmed", reason: last },
  );
}

/** Connects as a device that is not revoked, and as the target, with certificates that are not revoked. */
async function prove(
  access: BrokerAccess,
  { authority }: Lists,
  { target, steps }: { target: Target | undefined; steps: RevocationStep[] },
): Promise<void> {
  const innocent = await accessOf(access, authority, { name: probeName(), speak: false });
  if (innocent.canPublishAsOthers) {
    throw new EnforcementError({ kind: "broker_open", stopped: await stopBroker(access.layout) });
  }
  if (!innocent.canReceive) throw new EnforcementError({ kind: "devices_cut_off" });
  steps.push({ kind: "access_verified" });
  if (target?.because === "revoked") await proveDenied(access, authority, { target, steps });
  if (target?.because === "removed") await proveEnded(access, target, steps);
}

async function proveDenied(
  access: BrokerAccess,
  authority: Authority,
  { target: { deviceId }, steps }: { target: Target; steps: RevocationStep[] },
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
  { deviceId }: Target,
  steps: RevocationStep[],
): Promise<void> {
  if (!await endConnection(access, deviceId)) {
    throw new EnforcementError({ kind: "connection_not_ended", deviceId });
  }
  steps.push({ kind: "connection_ended", deviceId, canReconnect: false });
}

async function accessOf(
  access: BrokerAccess,
  authority: Authority,
  { name, speak }: { name: string; speak: boolean },
): Promise<Access> {
  const { devices, gateway: speaker, nowMs } = access;
  const options = { commonName: name, nowMs, days: PROBE_DAYS };
  const credential = await issueClientCertificate(authority, options);
  return await probeAccess(devices, name, { credential, speaker, speak }).catch((error) => {
    throw new EnforcementError({ kind: "access_unconfirmed", reason: error.message });
  });
}

/** Takes the client id over, which ends its connection (MQTT 5 §3.1.4); false if that failed. */
async function endConnection({ gateway }: BrokerAccess, deviceId: string): Promise<boolean> {
  // A client id is one for all listeners: the gateway's own certificate can take it over.
  return await connectError(gateway.listener, gateway.credential, deviceId) === undefined;
}

function probeName(): string {
  return `probe-${crypto.randomUUID()}`;
}
