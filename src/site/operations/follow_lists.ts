/**
 * Gives a gateway's broker the lists that another machine has put into the shared store, and proves
 * that the broker uses them; no key of an authority is here.
 *
 * The rules are:
 * - nothing is written before everything was checked, and older lists never;
 * - each file is replaced whole, and the whole is done again until it was proved: a run that was
 *   killed is made up for by the next one;
 * - a broker that uses the lists already is not told again;
 * - what the operator wrote into the access list of this machine stays.
 */

import { readText } from "../../config/operator_file.ts";
import { isPair } from "../../config/pem.ts";
import type { PublishedLists } from "../../store/shared_lists.ts";
import { removeDrafts } from "../atomic_write.ts";
import { exists, ignoreMissing } from "../exists.ts";
import type { SiteLayout } from "../layout.ts";
import { deniedIn, withDenials } from "../mosquitto/access_list.ts";
import { connectError } from "../mosquitto/access_probe.ts";
import { openCertificate } from "../pki/authority.ts";
import { certificatesOf } from "../pki/device_authorities.ts";
import { listNumberOf } from "../pki/revocation_list.ts";
import { waitForLock } from "../site_lock.ts";
import type { BrokerAccess } from "./broker_access.ts";
import { type BrokerFile, checkAccessLists, writeLists } from "./broker_lists.ts";
import { accessWith, probeName } from "./broker_probe.ts";
import { EnforcementError } from "./enforcement_error.ts";
import { checkLists, type ListsContent } from "./published_lists.ts";
import {
  endConnection,
  faultOf,
  reload,
  requireApart,
  type RevocationResult,
  type RevocationStep,
  saysRevoked,
} from "./revocation.ts";

/** What the lists in place are compared with. */
interface FollowOptions {
  /** The number of the lists that this broker was proved to use; 0: of none. */
  readonly since: number;
}

/** Gives the broker these lists; with a fault, they are not proved to be used. */
export async function followLists(
  published: PublishedLists,
  access: BrokerAccess,
  { since }: FollowOptions,
): Promise<RevocationResult> {
  const steps: RevocationStep[] = [];
  try {
    using _lock = await waitForLock(access.layout, "broker");
    const content = await requireSound(published, access);
    const before = await readText(access.layout.aclDevices);
    const files = await filesOf(content, access.layout, { before });
    await removeDrafts(files.map(({ path }) => path));
    await give(content, files, { access, steps });
    await prove(access, steps);
    await endConnections(access, content, { since, before, steps });
    return { steps };
  } catch (error) {
    const fault = faultOf(error);
    if (fault === undefined) throw error;
    return { steps, fault };
  }
}

/** The certificate with which this machine's broker is tried, PEM; undefined if there is none. */
export async function probeCertificate({ probe }: SiteLayout): Promise<string | undefined> {
  return await readText(probe.certificate).catch(ignoreMissing);
}

/** The number of the lists in place; 0 if there are none. */
export async function numberInPlace({ revocationList }: SiteLayout): Promise<number> {
  return listNumberOf(await readText(revocationList).catch(ignoreMissing) ?? "");
}

async function requireSound(
  published: PublishedLists,
  { layout, nowMs }: BrokerAccess,
): Promise<ListsContent> {
  const checked = await checkLists(published, {
    trusted: certificatesOf(await readText(layout.deviceCa.certificate)),
    inPlace: await numberInPlace(layout),
    nowMs,
  });
  if (checked.ok) return checked.content;
  throw new EnforcementError({ kind: "lists_refused", because: checked.because });
}

/** What is to be written, in this order: the proof is on the revocation list, behind what it proves. */
async function filesOf(
  content: ListsContent,
  layout: SiteLayout,
  { before }: { readonly before: string },
): Promise<BrokerFile[]> {
  const { authorities, revocationLists, denied, probes } = content;
  const aclDevices = withDenials(before, denied);
  await checkAccessLists(layout, { aclDevices, aclGateway: await readText(layout.aclGateway) });
  const probe = await renewedProbe(probes, layout);
  const trusted = authorities.map((pem) => `${pem.trimEnd()}\n`).join("");
  return [
    ...(probe === undefined ? [] : [{ path: layout.probe.certificate, text: probe }]),
    { path: layout.aclDevices, text: aclDevices },
    { path: layout.revocationList, text: revocationLists },
    // Where an authority has its key, it has its certificate, too.
    ...(await exists(layout.deviceCa.key)
      ? []
      : [{ path: layout.deviceCa.certificate, text: trusted }]),
  ];
}

/** A newer certificate for this machine's own key; undefined if there is none. */
async function renewedProbe(
  probes: readonly string[],
  { probe }: SiteLayout,
): Promise<string | undefined> {
  const key = await readText(probe.key).catch(ignoreMissing);
  return key === undefined ? undefined : probes.find((pem) => isPair(pem, key));
}

/** Writes the files and has the broker read them, unless it uses them already. */
async function give(
  { number, denied, proof }: ListsContent,
  files: readonly BrokerFile[],
  { access, steps }: { readonly access: BrokerAccess; readonly steps: RevocationStep[] },
): Promise<void> {
  const credential = { certificatePem: proof.certificate, keyPem: proof.key };
  const changed: BrokerFile[] = [];
  for (const file of files) if (await readText(file.path) !== file.text) changed.push(file);
  if (changed.length === 0) {
    const reason = await connectError(access.devices, credential, probeName());
    if (saysRevoked(reason)) {
      steps.push({ kind: "listed_certificate_refused", reason });
      return;
    }
  }
  await writeLists({ files: changed });
  steps.push({ kind: "lists_placed", listNumber: number, deniedDevices: denied.length });
  await reload(access, { proof: credential }, steps);
}

/** Connects as this machine's probe, which is no device's. */
async function prove(access: BrokerAccess, steps: RevocationStep[]): Promise<void> {
  const { probe: { certificate: path, key } } = access.layout;
  const certificatePem = await readText(path).catch(ignoreMissing);
  const keyPem = await readText(key).catch(ignoreMissing);
  if (certificatePem === undefined || keyPem === undefined) {
    throw new EnforcementError({ kind: "probe_missing", path });
  }
  const [name = ""] = openCertificate(certificatePem).subjectName.getField("CN");
  const found = await accessWith(access, { certificatePem, keyPem }, { name, speak: false });
  steps.push(await requireApart(access, found));
}

/** Of devices that were revoked or removed since the lists that this broker was proved to use. */
async function endConnections(
  access: BrokerAccess,
  { ended, denied }: ListsContent,
  { since, before, steps }: FollowOptions & {
    readonly before: string;
    readonly steps: RevocationStep[];
  },
): Promise<void> {
  const known = new Set(deniedIn(before));
  const gone = new Set([
    ...ended.filter(({ number }) => number > since).map(({ deviceId }) => deviceId),
    ...denied.filter((deviceId) => !known.has(deviceId)),
  ]);
  for (const deviceId of gone) {
    if (!await endConnection(access, deviceId)) {
      throw new EnforcementError({ kind: "connection_not_ended", deviceId });
    }
    steps.push({ kind: "connection_ended", deviceId, canReconnect: false });
  }
}
