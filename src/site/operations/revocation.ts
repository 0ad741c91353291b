/**
 * Brings the registry's revocations to the broker, and proves that they hold there.
 *
 * The rules are:
 * - every list is written anew from the registry, so that a run that broke off is made up for;
 * - nothing is written or told before it was checked: a reload with a list that Mosquitto cannot
 *   read would open the door instead of closing it;
 * - each revocation list names the certificate of a canary that was made for it: when that one is
 *   refused, the broker goes by this list and by no older one;
 * - a broker that turns out to let one device speak for another is stopped.
 */

import type { RevokedDeviceCertificate } from "../../store/device_record.ts";
import { accessListFaults, deviceListFaults, withDenials } from "../mosquitto/access_list.ts";
import {
  type Authority,
  createRevocationList,
  fingerprintOf,
  issueClientCertificate,
  type IssuedCertificate,
  keyBelongsToCertificate,
  revocationListNames,
} from "../pki/authority.ts";
import { reloadBroker, stopBroker } from "../mosquitto/reload.ts";
import {
  type Access,
  connectError,
  type Credential,
  type Listener,
  probeAccess,
} from "../mosquitto/access_probe.ts";
import { openDeviceAuthorities } from "../pki/device_authorities.ts";
import type { SiteLayout } from "../layout.ts";
import { atomicWrite } from "../atomic_write.ts";

/** What the broker is to go by, read from the registry under the lock. */
export interface Revocations {
  /** Ids of the revoked devices. */
  readonly denied: readonly string[];
  /** Every certificate that belongs on the list. */
  readonly certificates: readonly RevokedDeviceCertificate[];
  /** Higher than that of every list before. */
  readonly listNumber: number;
}

/** Where the broker is, and what to show there. */
export interface BrokerAccess {
  readonly layout: SiteLayout;
  readonly devices: Listener;
  /** The gateway's own door and credential. */
  readonly gateway: { readonly door: Listener; readonly credential: Credential };
  readonly nowMs: number;
}

/** What was done and seen, line by line, and why that is not all; the hint says what helps. */
export interface RevocationResult {
  readonly evidence: readonly string[];
  readonly fault?: { readonly reason: string; readonly hint: string };
}

interface Lists {
  readonly accessList: string;
  readonly revocationList: string;
  readonly authority: Authority;
  /** Its certificate is on the list. */
  readonly proof: IssuedCertificate;
}

/** A canary's certificate is of no use soon after. */
const CANARY_DAYS = 1;
const RELOAD_TIMEOUT_MS = 5_000;
const POLL_MS = 50;

/**
 * Writes both lists, tells the broker, and proves it. `revoked` is the device that was revoked just
 * now, whose connection is to be ended; undefined where none was.
 */
export async function enforceRevocations(
  access: BrokerAccess,
  read: () => Revocations,
  revoked: string | undefined,
): Promise<RevocationResult> {
  // One at a time: an older reading of the registry must not overwrite a newer one.
  using lock = await Deno.open(access.layout.brokerConfiguration);
  await lock.lock(true);
  const evidence: string[] = [];
  try {
    const revocations = read();
    const lists = await makeLists(access, revocations);
    await writeLists(access.layout, lists);
    evidence.push(...describe(revocations, revoked));
    await tell(access, lists, evidence);
    await prove(access, lists, { revoked, evidence });
    return { evidence };
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    await cutOff(access, revoked, evidence);
    return { evidence, fault };
  }
}

/** The broker does not go by the newest lists. */
class EnforcementError extends Error {
  override readonly name = "EnforcementError";
  readonly hint: string;

  constructor(reason: string, hint: string) {
    super(reason);
    this.hint = hint;
  }
}

/** What keeps the broker from its lists, and what helps; undefined for a fault of ours. */
function faultOf(error: unknown): RevocationResult["fault"] {
  if (error instanceof EnforcementError) return { reason: error.message, hint: error.hint };
  if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
    const hint = "Run this again as the owner of the site's files";
    return { reason: `Cannot use the broker's files: ${error.message}`, hint };
  }
  return undefined;
}

async function makeLists(access: BrokerAccess, revocations: Revocations): Promise<Lists> {
  const { layout, nowMs } = access;
  const opened = await openDeviceAuthorities(layout);
  if (!opened.ok) {
    throw new EnforcementError(
      `Cannot sign the revocation list: ${opened.fault}`,
      "Bring the authority's key back and run this again",
    );
  }
  const [authority] = opened.authorities;
  const proof = await issueClientCertificate(authority, {
    commonName: canaryName(),
    nowMs,
    days: CANARY_DAYS,
  });
  const lists = await Promise.all(
    opened.authorities.map((one) => listOf(one, proof, { ...revocations, nowMs })),
  );
  const accessList = withDenials(await Deno.readTextFile(layout.aclDevices), revocations.denied);
  const made = { accessList, revocationList: lists.join(""), authority, proof };
  const faults = await faultsOf(layout, made);
  if (faults.length === 0) return made;
  throw new EnforcementError(
    `Cannot give the broker its lists: ${faults.join("; ")}`,
    "Mend that and run this again; the lists in force are as they were",
  );
}

/** An authority's list; a certificate of which the issuer is not known stands on every one. */
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
  throw new Error("The revocation list is not what it was made to be");
}

/** Everything that a reload reads, looked at beforehand. */
async function faultsOf(layout: SiteLayout, lists: Lists): Promise<string[]> {
  const read = (path: string) => Deno.readTextFile(path);
  const configuration = (await read(layout.brokerConfiguration)).split("\n");
  const needed = [
    `cafile ${layout.deviceCa.certificate}`,
    `crlfile ${layout.revocationList}`,
    `acl_file ${layout.aclDevices}`,
    `acl_file ${layout.aclGateway}`,
  ];
  const named = (path: string) => (fault: string) => `"${path}": ${fault}`;
  const pairFits = keyBelongsToCertificate(
    await read(layout.broker.certificate),
    await read(layout.broker.key),
  );
  return [
    ...needed.filter((line) => !configuration.includes(line))
      .map((line) => named(layout.brokerConfiguration)(`there is no line "${line}"`)),
    ...deviceListFaults(lists.accessList).map(named(layout.aclDevices)),
    ...accessListFaults(await read(layout.aclGateway)).map(named(layout.aclGateway)),
    ...(pairFits ? [] : [named(layout.broker.key)("it is not the certificate's key")]),
  ];
}

async function writeLists(layout: SiteLayout, lists: Lists): Promise<void> {
  try {
    await atomicWrite(layout.revocationList, lists.revocationList);
    await atomicWrite(layout.aclDevices, lists.accessList);
  } catch (error) {
    throw new EnforcementError(
      `Cannot write the broker's lists: ${(error as Error).message}`,
      "Run this again as the owner of the site's files",
    );
  }
}

function describe(revocations: Revocations, revoked: string | undefined): string[] {
  const { certificates, denied, listNumber } = revocations;
  const own = certificates.filter(({ deviceId }) => deviceId === revoked).length;
  const share = revoked === undefined ? "" : `, ${own} of them of ${revoked}`;
  return [
    `revocation list: number ${listNumber}, ${count(certificates.length, "certificate")}${share}`,
    `access list: every topic is denied to ${count(denied.length, "revoked device")}`,
  ];
}

async function tell(access: BrokerAccess, { proof }: Lists, evidence: string[]): Promise<void> {
  const told = await reloadBroker(access.layout);
  if (!told.told) {
    throw new EnforcementError(`Cannot tell the broker: ${told.reason}`, told.hint);
  }
  evidence.push(`broker: process ${told.pid} was told to read them`);
  const refusal = await refusalInTime(access, proof);
  evidence.push(`canary: a certificate on this list is refused: ${refusal}`);
}

/** Waits until the broker refuses the certificate that is on the newest list only. */
async function refusalInTime(
  { devices }: BrokerAccess,
  proof: IssuedCertificate,
): Promise<string> {
  const endMs = performance.now() + RELOAD_TIMEOUT_MS;
  let last: string | undefined;
  while (performance.now() < endMs) {
    last = await connectError(devices, proof, canaryName());
    if (last !== undefined && /revoked/i.test(last)) return last;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new EnforcementError(
    last === undefined
      ? "The broker does not go by the new revocation list: a certificate on it is let in"
      : `Cannot see whether the broker goes by the new revocation list: ${last}`,
    "Look into its log; a restart makes it read its lists, or refuse to start",
  );
}

/** Connects as an innocent device, and as the revoked one, with certificates that are on no list. */
async function prove(
  access: BrokerAccess,
  { authority }: Lists,
  { revoked, evidence }: { revoked: string | undefined; evidence: string[] },
): Promise<void> {
  const innocent = await freedomOf(access, authority, { name: canaryName(), speak: false });
  if (innocent.canPublishAsOthers) {
    throw new EnforcementError(await stopOpenBroker(access.layout), "Look into its log first");
  }
  if (!innocent.canReceive) {
    throw new EnforcementError(
      "The broker lets no device hear its own topics any more",
      "Look into its log; a restart makes it read its lists, or refuse to start",
    );
  }
  evidence.push(
    "canary: an innocent device hears its own topic, and is refused another's (reason 0x87)",
  );
  if (revoked === undefined) return;
  const guilty = await freedomOf(access, authority, { name: revoked, speak: true });
  if (guilty.canPublish || guilty.canReceive || guilty.canPublishAsOthers) {
    throw new EnforcementError(
      `The broker still lets ${revoked} ${guilty.canReceive ? "hear" : "speak"}`,
      "Look into its log; a restart makes it read its lists, or refuse to start",
    );
  }
  evidence.push(
    `canary: connected as ${revoked}, which ends its connection (MQTT 5 §3.1.4); ` +
      "even so it is refused its own topic (reason 0x87) and hears nothing",
  );
}

async function freedomOf(
  access: BrokerAccess,
  authority: Authority,
  { name, speak }: { name: string; speak: boolean },
): Promise<Access> {
  const { devices, gateway: speaker, nowMs } = access;
  const options = { commonName: name, nowMs, days: CANARY_DAYS };
  const credential = await issueClientCertificate(authority, options);
  return await probeAccess(devices, name, { credential, speaker, speak }).catch((error) => {
    throw new EnforcementError(
      `Cannot prove what the broker allows: ${error.message}`,
      "Run this again",
    );
  });
}

async function stopOpenBroker(layout: SiteLayout): Promise<string> {
  const stopped = await stopBroker(layout);
  return "The broker lets devices speak for each other: " +
    (stopped ? "it was stopped" : "stop it, it could not be stopped from here");
}

/** What can be done where the lists are not in force: end the connection there is. */
async function cutOff(
  { gateway }: BrokerAccess,
  revoked: string | undefined,
  evidence: string[],
): Promise<void> {
  if (revoked === undefined) return;
  // A client id is one for all listeners: the gateway's own certificate can take it over.
  if (await connectError(gateway.door, gateway.credential, revoked) !== undefined) return;
  evidence.push(`broker: the connection of ${revoked} was ended; it may connect again, unheard`);
}

function canaryName(): string {
  return `canary-${crypto.randomUUID()}`;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
