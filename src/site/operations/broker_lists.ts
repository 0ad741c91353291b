/**
 * The broker's lists: made from the registry and from what the operator wrote, checked, then written.
 *
 * The rules are:
 * - nothing is written before everything that a reload reads was checked: a list that Mosquitto
 *   cannot read opens the door instead of closing it;
 * - each revocation list names the certificate of a probe that was made for it: when that one is
 *   refused, the broker uses this list and no older one.
 */

import { keyPairFault } from "../../config/credentials.ts";
import { readText } from "../../config/operator_file.ts";
import type { RevokedDeviceCertificate } from "../../store/device_record.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { atomicWrite } from "../atomic_write.ts";
import type { SiteLayout } from "../layout.ts";
import {
  accessListFaults,
  deviceListFaults,
  type Insertion,
  missingLines,
  NEW_LISTS,
  withDenials,
  withLines,
} from "../mosquitto/access_list.ts";
import {
  type Authority,
  createRevocationList,
  fingerprintOf,
  type IssuedCertificate,
  revocationListNames,
} from "../pki/authority.ts";
import type { BrokerAccess } from "./broker_access.ts";
import { issueProbeCertificate, probeName } from "./broker_probe.ts";
import { EnforcementError } from "./enforcement_error.ts";
import type { BrokerFileFault } from "./revocation_fault.ts";
import { DAY_SECONDS, secondsOf } from "../../core/time.ts";

/** What the broker's lists are made of, read from the registry under the lock. */
export interface Revocations {
  /** Ids of the revoked devices. */
  readonly denied: readonly string[];
  /** Every certificate that belongs on the list. */
  readonly certificates: readonly RevokedDeviceCertificate[];
  /** Higher than that of every list before. */
  readonly listNumber: number;
}

/** What is written where. */
export interface BrokerFile {
  readonly path: string;
  readonly text: string;
}

/** Lists that were signed: for the site's broker, and for those of gateways that share its store. */
export interface SignedLists {
  readonly revocations: Revocations;
  /** The issuing one first. */
  readonly authorities: readonly [Authority, ...Authority[]];
  /** One list of each authority, PEM. */
  readonly revocationLists: string;
  /** Its certificate is on the issuing authority's list. */
  readonly proof: IssuedCertificate;
}

/** A certificate that is on every list besides those of the registry. */
export interface ListedProof {
  readonly serial: string;
  /** When it was listed, Unix milliseconds. */
  readonly revokedAtMs: number;
  readonly issuer: string;
}

/** Lists that were checked, and what proves that the broker uses them. */
export interface BrokerLists {
  /** In this order. */
  readonly files: readonly BrokerFile[];
  /** The access lists that lacked something and do not any longer. */
  readonly upgraded: readonly AccessList[];
  readonly authority: Authority;
  /** Its certificate is on the revocation list. */
  readonly proof: IssuedCertificate;
}

/** One of the site's access lists. */
export interface AccessList {
  readonly path: string;
  /** As it is. */
  readonly text: string;
  /** What a new site's has and this one lacks; empty if nothing. */
  readonly missing: readonly Insertion[];
}

/** A certificate that has expired needs no list, except for clocks that differ. */
const LISTED_AFTER_END_SECONDS = 30 * DAY_SECONDS;

/** Reads them; `nowMs` is the wall clock. */
export async function readRevocations(
  registry: RegistryStore,
  nowMs: number,
): Promise<Revocations> {
  // The number first: a list of a higher number has everything that one of a lower number has, also
  // if another machine makes one at the same time.
  const listNumber = await registry.nextRevocationListNumber();
  const devices = await registry.list();
  return {
    denied: devices.filter((one) => one.revokedAt !== undefined).map((one) => one.deviceId),
    certificates: await registry.revokedCertificates(
      secondsOf(nowMs) - LISTED_AFTER_END_SECONDS,
    ),
    listNumber,
  };
}

/** The site's access lists, with what they lack. */
export async function readAccessLists(
  { aclDevices, aclGateway }: SiteLayout,
): Promise<{ readonly devices: AccessList; readonly gateway: AccessList }> {
  return {
    devices: await readAccessList(aclDevices, NEW_LISTS.devices),
    gateway: await readAccessList(aclGateway, NEW_LISTS.gateway),
  };
}

async function readAccessList(path: string, wanted: string): Promise<AccessList> {
  const text = await readText(path);
  return { path, text, missing: missingLines(text, wanted) };
}

/** What Mosquitto would stumble over in a list as it is. */
export function listFaults({ path, text }: AccessList): BrokerFileFault[] {
  return accessListFaults(text).map((reason) => unreadable(path, reason));
}

/** Signs the lists; `spent` are certificates of earlier proofs. */
export async function signLists(
  authorities: SignedLists["authorities"],
  revocations: Revocations,
  { nowMs, spent = [] }: {
    readonly nowMs: number;
    readonly spent?: readonly ListedProof[];
  },
): Promise<SignedLists> {
  const proof = await issueProbeCertificate(authorities[0], { name: probeName(), nowMs });
  const { serial, issuer } = proof;
  const proofs = [...spent, { serial, issuer, revokedAtMs: nowMs }];
  const lists = await Promise.all(
    authorities.map((one) => listOf(one, proofs, { ...revocations, nowMs })),
  );
  return { revocations, authorities, revocationLists: lists.join(""), proof };
}

/** Makes the broker's files; `upgrade`: with what the access lists lack. Throws if one must not be used. */
export async function makeLists(
  { layout }: BrokerAccess,
  { revocations, revocationLists, authorities, proof }: SignedLists,
  { upgrade }: { readonly upgrade: boolean },
): Promise<BrokerLists> {
  const { devices, gateway } = await readAccessLists(layout);
  const textOf = ({ text, missing }: AccessList) => upgrade ? withLines(text, missing) : text;
  const aclDevices = withDenials(textOf(devices), revocations.denied);
  const aclGateway = textOf(gateway);
  await checkAccessLists(layout, { aclDevices, aclGateway });
  const upgraded = upgrade ? [devices, gateway].filter(({ missing }) => missing.length > 0) : [];
  const files = [
    { path: layout.revocationList, text: revocationLists },
    { path: layout.aclDevices, text: aclDevices },
    ...(upgraded.includes(gateway) ? [{ path: layout.aclGateway, text: aclGateway }] : []),
  ];
  return { files, upgraded, authority: authorities[0], proof };
}

/** An authority's list; a certificate whose issuer is not known is on every one. */
async function listOf(
  authority: Authority,
  proofs: readonly ListedProof[],
  { certificates, listNumber, nowMs }: Revocations & { nowMs: number },
): Promise<string> {
  const issuer = fingerprintOf(authority.certificatePem);
  const own = certificates.filter((one) => (one.issuer ?? issuer) === issuer);
  const revoked = own.map(({ serial, revokedAt }) => ({ serial, revokedAtMs: revokedAt * 1000 }));
  revoked.push(...proofs.filter((one) => one.issuer === issuer));
  const pem = await createRevocationList(authority, { revoked, number: listNumber, nowMs });
  const serials = revoked.map(({ serial }) => serial);
  if (await revocationListNames(pem, authority, serials)) return pem;
  throw new Error("The revocation list does not contain what was put into it");
}

/** Everything that a reload reads, looked at beforehand. */
export async function checkAccessLists(
  layout: SiteLayout,
  lists: AccessListTexts,
): Promise<void> {
  const faults = await faultsOf(layout, lists);
  if (faults.length > 0) throw new EnforcementError({ kind: "lists_unusable", faults });
}

interface AccessListTexts {
  readonly aclDevices: string;
  readonly aclGateway: string;
}

async function faultsOf(layout: SiteLayout, lists: AccessListTexts): Promise<BrokerFileFault[]> {
  const { brokerConfiguration, aclDevices, aclGateway } = layout;
  const configuration = (await readText(brokerConfiguration)).split("\n");
  const needed = [
    `cafile ${layout.deviceCa.certificate}`,
    `crlfile ${layout.revocationList}`,
    `acl_file ${aclDevices}`,
    `acl_file ${aclGateway}`,
  ];
  const missing = needed.filter((line) => !configuration.includes(line));
  const unpaired = keyPairFault(layout.broker);
  return [
    ...missing.map((line) => ({ kind: "line_missing", path: brokerConfiguration, line }) as const),
    ...deviceListFaults(lists.aclDevices).map((reason) => unreadable(aclDevices, reason)),
    ...accessListFaults(lists.aclGateway).map((reason) => unreadable(aclGateway, reason)),
    ...(unpaired === undefined ? [] : [{ kind: "credential_unusable", reason: unpaired } as const]),
  ];
}

function unreadable(path: string, reason: string): BrokerFileFault {
  return { kind: "list_unreadable", path, reason };
}

/** Puts them in place, each whole. */
export async function writeLists({ files }: Pick<BrokerLists, "files">): Promise<void> {
  try {
    for (const { path, text } of files) await atomicWrite(path, text);
  } catch (error) {
    throw new EnforcementError({ kind: "lists_not_written", reason: (error as Error).message });
  }
}
