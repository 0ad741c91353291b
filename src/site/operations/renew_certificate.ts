/**
 * Use case: broker, gateway or API gets a new key and certificate from the site's authority.
 *
 * The rules are:
 * - nothing is changed before everything that can be looked at was: the authority, the names, the
 *   broker's lists, which a reload reads as well, and whether the broker lets the new one in;
 * - who has the old one open keeps it: servers are told to read the new one, not restarted;
 * - the old one is kept until every server that was told shows the new one; if one does not, the old
 *   one is put back, and the servers are told again;
 * - a server that does not run, or could not be told, takes the new one when it starts.
 */

import { readCertificateFile, StartError } from "../../config/credentials.ts";
import { hostName } from "../../config/setting_types.ts";
import { secondsOf } from "../../core/time.ts";
import type { AuditStore } from "../../store/audit.ts";
import { exists } from "../exists.ts";
import { type CredentialPaths, type SiteLayout, siteOfNode } from "../layout.ts";
import {
  type Authority,
  issueClientCertificate,
  type IssuedCertificate,
  issueServerCertificate,
} from "../pki/authority.ts";
import { identityOf, isIssuedBy, type KeptIdentity } from "../pki/certificate_view.ts";
import { openGatewayAuthority } from "../pki/device_authorities.ts";
import { type PlacedPair, placePair } from "../pki/pair_files.ts";
import { waitForLock } from "../site_lock.ts";
import type { OpenSite } from "./broker_access.ts";
import { RenewError, type RenewFault, type RenewTarget } from "./renew_fault.ts";
import { faultOf, type RevocationStep } from "./revocation.ts";
import { isSystemError, LOCAL_HOSTS } from "./site_files.ts";
import { type GatewayView, runHere, type ServedStep, ToldServers } from "./told_servers.ts";

/** What is asked for. */
interface RenewOptions {
  readonly target: RenewTarget;
  /** In place of those that the certificate has; undefined: they stay. */
  readonly hosts: readonly string[] | undefined;
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly days: number | undefined;
  /** What the gateway says of itself. */
  readonly gatewaySays: GatewayView;
}

/** One thing that was done or seen. */
export type RenewStep =
  | {
    readonly kind: "certificate_made";
    readonly serial: string;
    readonly previousSerial: string;
    /** ISO 8601. */
    readonly until: string;
    readonly names: readonly string[];
  }
  | { readonly kind: "files_replaced"; readonly certificate: string; readonly key: string }
  /** The folder of a gateway elsewhere: its two files are to be copied there. */
  | { readonly kind: "copy_to_node"; readonly certificate: string; readonly key: string }
  | { readonly kind: "previous_removed" }
  | { readonly kind: "previous_put_back" }
  | ServedStep
  | Extract<RevocationStep, { readonly kind: "broker_reloaded" | "access_verified" }>;

/** What was done, in order, and what kept the rest from being done. */
interface RenewResult {
  readonly steps: readonly RenewStep[];
  readonly fault?: RenewFault;
}

/** Renews a certificate, and proves that it is in use where somebody uses it. */
export async function renewCertificate(
  audit: Pick<AuditStore, "enter">,
  site: OpenSite,
  options: RenewOptions,
): Promise<RenewResult> {
  const steps: RenewStep[] = [];
  try {
    using _lock = await waitForLock(site.layout, "broker");
    await renew(audit, site, { ...options, steps });
    return { steps };
  } catch (error) {
    return { steps, fault: renewFault(error) };
  }
}

function renewFault(error: unknown): RenewFault {
  if (error instanceof RenewError) return error.fault;
  const fault = faultOf(error);
  if (fault !== undefined) return fault;
  if (error instanceof StartError) return { kind: "certificate_unusable", reason: error.message };
  if (isSystemError(error)) return { kind: "system_refused", reason: error.message };
  throw error;
}

async function renew(
  audit: Pick<AuditStore, "enter">,
  site: OpenSite,
  { steps, ...options }: RenewOptions & { readonly steps: RenewStep[] },
): Promise<void> {
  const { target } = options;
  const paths = pathsOf(site, target);
  const authority = await authorityOf(site);
  const [presentPem] = readCertificateFile(paths.certificate);
  if (!await isIssuedBy(presentPem, authority.certificatePem)) {
    throw new RenewError({ kind: "certificate_foreign", path: paths.certificate });
  }
  const kept = identityOf(presentPem);
  const names = namesFor(site, kept, options);
  const issued = await issue(authority, { site, kept, names, options });
  const isElsewhere = siteOfNode(site.layout) !== undefined && !await runHere(site.layout);
  const told = isElsewhere ? undefined : await ToldServers.of(site, { paths, issued });
  steps.push({
    kind: "certificate_made",
    ...{ serial: issued.serial, previousSerial: kept.serial, names },
    until: new Date(issued.notAfter * 1000).toISOString(),
  });
  const placed = await placePair(paths, issued);
  steps.push({ kind: "files_replaced", ...paths });
  const note = { at: secondsOf(site.nowMs), event: "certificate_renewed", subject: "", count: 1 };
  const detail = `${target} ${issued.serial}, before ${kept.serial}`;
  await audit.enter({ ...note, detail }).catch(async (error) => {
    await placed.takeBack(); // nobody has been told of it
    throw error;
  });
  if (told === undefined) {
    await placed.keep();
    steps.push({ kind: "copy_to_node", ...paths });
    return;
  }
  const putBack = { ...note, event: "certificate_put_back", detail: `${target} ${kept.serial}` };
  const onPutBack = () => audit.enter(putBack);
  await proveOrTakeBack(placed, { told, onPutBack, options, steps });
}

/** Has the servers take it; with a fault, the old one is back, or both are there. */
async function proveOrTakeBack(
  placed: PlacedPair,
  { told, onPutBack, options, steps }: {
    readonly told: ToldServers;
    readonly onPutBack: () => Promise<void>;
    readonly options: RenewOptions;
    readonly steps: RenewStep[];
  },
): Promise<void> {
  const proof = await told.prove(options.gatewaySays);
  steps.push(...proof.steps);
  if (proof.outcome === "proved") {
    await placed.keep();
    steps.push({ kind: "previous_removed" });
  }
  if (proof.outcome === "not_served") {
    await placed.takeBack();
    steps.push({ kind: "previous_put_back" });
    await told.tellAgain();
    await onPutBack();
  }
  if (proof.fault !== undefined) throw new RenewError(proof.fault);
}

function pathsOf({ layout, config }: OpenSite, target: RenewTarget): CredentialPaths {
  switch (target) {
    case "broker":
      return layout.broker;
    case "gateway":
      return { certificate: config.broker.certificate, key: config.broker.key };
    case "api":
      return { certificate: config.api.certificate, key: config.api.key };
    default:
      return target satisfies never;
  }
}

/** The site's; of a gateway's folder that is still where it was made, that of the site around it. */
async function authorityOf({ layout, nowMs }: OpenSite): Promise<Authority> {
  const sites = [layout, siteOfNode(layout)].filter((one) => one !== undefined);
  const site = await firstWithKey(sites);
  if (site === undefined) {
    throw new RenewError({ kind: "authority_elsewhere", path: layout.gatewayCa.key });
  }
  const opened = await openGatewayAuthority(site, { nowMs });
  if (opened.ok) return opened.authority;
  throw new RenewError({ kind: "authority_unusable", reason: opened.fault });
}

async function firstWithKey(sites: readonly SiteLayout[]): Promise<SiteLayout | undefined> {
  for (const site of sites) if (await exists(site.gatewayCa.key)) return site;
  return undefined;
}

/** The names that the new one has; throws if one cannot be, or one that is needed is missing. */
function namesFor(
  site: OpenSite,
  kept: KeptIdentity,
  { target, hosts, added, removed }: RenewOptions,
): string[] {
  if (target === "gateway") {
    const isAsked = hosts !== undefined || added.length > 0 || removed.length > 0;
    if (isAsked) throw new RenewError({ kind: "names_not_usable" });
    return [];
  }
  const before = hosts === undefined ? kept.names : [...LOCAL_HOSTS, ...hosts];
  for (const host of [...hosts ?? [], ...added]) {
    if (!hostName().accepts(host)) throw new RenewError({ kind: "host_not_usable", host });
  }
  const stranger = removed.find((host) => !before.includes(host));
  if (stranger !== undefined) throw new RenewError({ kind: "host_not_named", host: stranger });
  const names = [...new Set([...before, ...added])].filter((host) => !removed.includes(host));
  requireNeeded(site, { kept, names, target });
  return names;
}

/** Only what the present certificate names, too, can get lost. */
function requireNeeded(
  { layout, config }: OpenSite,
  { kept, names, target }: {
    readonly kept: KeptIdentity;
    readonly names: readonly string[];
    readonly target: RenewTarget;
  },
): void {
  const isShared = layout.broker.certificate === config.api.certificate;
  const brokerHosts = [
    { setting: "broker.host", host: config.broker.host },
    { setting: "devices.host", host: config.devices.host },
  ];
  const needed = [
    ...(target === "broker" || isShared ? brokerHosts : []),
    ...(target === "api" || isShared ? [{ setting: "api.host", host: config.api.host }] : []),
  ];
  const lost = needed.find(({ host }) => kept.names.includes(host) && !names.includes(host));
  if (lost !== undefined) throw new RenewError({ kind: "host_needed", ...lost });
}

function issue(
  authority: Authority,
  { site: { nowMs }, kept, names, options: { target, days } }: {
    readonly site: OpenSite;
    readonly kept: KeptIdentity;
    readonly names: readonly string[];
    readonly options: RenewOptions;
  },
): Promise<IssuedCertificate> {
  const { commonName = target, keyType } = kept;
  const wanted = { commonName, keyType, nowMs, ...(days !== undefined && { days }) };
  return target === "gateway"
    ? issueClientCertificate(authority, wanted)
    : issueServerCertificate(authority, { ...wanted, hosts: names });
}
