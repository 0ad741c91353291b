/**
 * Signs the broker's lists, and where gateways share a store puts them there for the other brokers.
 *
 * The rules are:
 * - they are put there before this site's own broker is told: its fault must not keep the others
 *   from theirs;
 * - whose connections are to be ended is told for as long as a broker may be away; it is taken from
 *   the lists before only if those are of this site's authorities.
 */

import type { Store } from "../../store/store.ts";
import type { ListUse, SharedLists } from "../../store/shared_lists.ts";
import { writeWhole } from "../atomic_write.ts";
import type { SiteLayout } from "../layout.ts";
import { type Authority, certifyClient, openCertificate } from "../pki/authority.ts";
import { isIssuedBy } from "../pki/certificate_view.ts";
import { certificatesOf, openDeviceAuthorities } from "../pki/device_authorities.ts";
import { readText } from "../../config/operator_file.ts";
import { isPair } from "../../config/pem.ts";
import { ignoreMissing } from "../exists.ts";
import type { BrokerAccess } from "./broker_access.ts";
import { readRevocations, type SignedLists, signLists } from "./broker_lists.ts";
import { isProbeName, issueProbeCertificate, probeName } from "./broker_probe.ts";
import { EnforcementError } from "./enforcement_error.ts";
import {
  checkLists,
  type EndTarget,
  keptOf,
  type ListsContent,
  sealLists,
} from "./published_lists.ts";

/** What of a store has to do with the brokers. */
export type BrokerStore = Pick<Store, "registry" | "lists" | "nodes">;

/** How long a gateway's own probe can be used, days; like the other certificates of a machine. */
const OWN_PROBE_DAYS = 3_652;

/** Other machines may put lists there at the same time. */
const TRIES = 5;

/** What is carried over if nothing was there before. */
const NOTHING = { proofs: [], ended: [] } as const;

/** Makes and signs the lists; the connection of `target` is to be ended. Throws an `EnforcementError`. */
export async function publishLists(
  { registry, lists }: BrokerStore,
  { layout, nowMs }: BrokerAccess,
  target: EndTarget | undefined,
): Promise<SignedLists> {
  const opened = await openDeviceAuthorities(layout);
  if (!opened.ok) throw new EnforcementError({ kind: "list_not_signed", reason: opened.fault });
  const { authorities } = opened;
  if (lists === undefined) {
    return await signLists(authorities, await readRevocations(registry, nowMs), { nowMs });
  }
  await ensureProbe(layout, authorities[0], nowMs);
  const probes = await renewedProbes(await lists.uses(), authorities, nowMs);
  for (let left = TRIES; left > 0; left--) {
    const before = await readBefore(lists, { authorities, nowMs });
    const revocations = await readRevocations(registry, nowMs);
    if (revocations.listNumber <= before.number) continue; // another machine's are newer
    const kept = keptOf(before, nowMs);
    const options = { nowMs, spent: kept.proofs };
    const signed = await signLists(authorities, revocations, options);
    const sealed = await sealLists(signed, { nowMs, kept, target, probes });
    if (await lists.publish(sealed, before.stored)) return signed;
  }
  throw new EnforcementError({ kind: "lists_overtaken" });
}

/** A certificate of this machine's own with which its broker is tried; made again after a move. */
async function ensureProbe(
  { probe }: SiteLayout,
  authority: Authority,
  nowMs: number,
): Promise<void> {
  const pem = await readText(probe.certificate).catch(ignoreMissing) ?? "";
  const key = await readText(probe.key).catch(ignoreMissing) ?? "";
  if (await isIssuedBy(pem, authority.certificatePem) && isPair(pem, key)) return;
  const { keyPem, certificatePem } = await issueOwnProbe(authority, nowMs);
  await writeWhole(probe.key, keyPem, 0o600);
  await writeWhole(probe.certificate, certificatePem, 0o644);
}

/** A certificate with which a gateway tries its own broker. */
export async function issueOwnProbe(authority: Authority, nowMs: number) {
  return await issueProbeCertificate(authority, {
    ...{ name: probeName(), nowMs, days: OWN_PROBE_DAYS },
  });
}

/** Those of an authority that is being replaced, from the one that issues; their keys stay where they are. */
async function renewedProbes(
  uses: readonly ListUse[],
  authorities: readonly [Authority, ...Authority[]],
  nowMs: number,
): Promise<string[]> {
  const renewed: string[] = [];
  const [issuing, ...previous] = authorities;
  for (const { probe } of uses) {
    const [pem] = certificatesOf(probe ?? "");
    if (pem === undefined || previous.length === 0) continue;
    const certificate = readCertificate(pem);
    const name = certificate?.subjectName.getField("CN")[0] ?? "";
    // Only for a key that an authority of this site has certified for nothing but this.
    if (certificate === undefined || !isProbeName(name)) continue;
    for (const { certificatePem } of previous) {
      if (!await isIssuedBy(pem, certificatePem)) continue;
      const { publicKey } = certificate;
      const options = { commonName: name, nowMs, days: OWN_PROBE_DAYS, publicKey };
      renewed.push((await certifyClient(issuing, options)).certificatePem);
    }
  }
  return renewed;
}

function readCertificate(pem: string): ReturnType<typeof openCertificate> | undefined {
  try {
    return openCertificate(pem);
  } catch {
    return undefined;
  }
}

/** What is there: `stored` is its number, whatever it is; of what we have not signed, nothing counts. */
async function readBefore(
  lists: SharedLists,
  { authorities, nowMs }: {
    readonly authorities: readonly Authority[];
    readonly nowMs: number;
  },
): Promise<Pick<ListsContent, "proofs" | "ended"> & { stored: number; number: number }> {
  const published = await lists.newest();
  const stored = published?.number ?? 0;
  if (published === undefined) return { ...NOTHING, stored, number: 0 };
  const trusted = authorities.map((one) => one.certificatePem);
  const checked = await checkLists(published, { trusted, inPlace: 0, nowMs });
  return checked.ok ? { ...checked.content, stored } : { ...NOTHING, stored, number: 0 };
}
