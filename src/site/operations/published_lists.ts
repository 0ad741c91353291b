/**
 * The brokers' lists as they go through a store that several gateways share.
 *
 * The rules are:
 * - all of it is one text, signed by every authority of the devices: nothing of it is used unless an
 *   authority that is trusted already has signed it, and every part is checked besides;
 * - lists older than those in place are refused;
 * - each list names a certificate that was made for it, with whose key any machine can see whether a
 *   broker uses that list; later lists name it as well, so that its key is of no other use.
 */

import { isPair } from "../../config/pem.ts";
import { isDeviceId } from "../../core/device.ts";
import { isJsonObject } from "../../core/json_object.ts";
import { DAY_MS } from "../../core/time.ts";
import type { PublishedLists } from "../../store/shared_lists.ts";
import { openCertificate } from "../pki/authority.ts";
import { isIssuedBy } from "../pki/certificate_view.ts";
import { certificatesOf } from "../pki/device_authorities.ts";
import { areListsOf, listsIn, listsName } from "../pki/revocation_list.ts";
import { isSignedBy, signText, type TextSignature } from "../pki/signed_text.ts";
import type { ListedProof, SignedLists } from "./broker_lists.ts";
import type { ListsRefusal } from "./revocation_fault.ts";

/**
 * How long later lists name a proof, days: its certificate is good for one, and clocks differ. A proof
 * proves its own list for longer: OpenSSL looks at the list before it looks at the time.
 */
const PROOFS_NAMED_DAYS = 31;

/** How long it is told whose connection is to be ended, days: a broker may run without its follower. */
export const ENDS_TOLD_DAYS = 90;

/** A device whose connection is to be ended. */
export interface EndTarget {
  readonly deviceId: string;
  readonly because: "revoked" | "removed";
}

/** The same, with the list since which that is so. */
interface EndedDevice extends EndTarget {
  readonly number: number;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** What goes through the store. */
export interface ListsContent {
  readonly number: number;
  /** Certificates of the authorities, PEM, the issuing one first. */
  readonly authorities: readonly string[];
  /** One list of each, PEM. */
  readonly revocationLists: string;
  /** Ids of the devices to which every topic is denied. */
  readonly denied: readonly string[];
  /** A certificate on the list, with its key, PEM. */
  readonly proof: { readonly certificate: string; readonly key: string };
  /** The proofs of this list and of those before, for the lists to come. */
  readonly proofs: readonly ListedProof[];
  readonly ended: readonly EndedDevice[];
  /** New certificates for those with which gateways try their brokers, PEM. */
  readonly probes: readonly string[];
}

/** Lists that may be used, or why they may not. */
type CheckResult =
  | { readonly ok: true; readonly content: ListsContent }
  | { readonly ok: false; readonly because: ListsRefusal };

/** Signs lists for the other gateways; what of earlier ones is `kept` is still told. */
export async function sealLists(
  { revocations, authorities, revocationLists, proof }: SignedLists,
  { nowMs, kept, target, probes }: {
    readonly nowMs: number;
    readonly kept: Pick<ListsContent, "proofs" | "ended">;
    readonly target: EndTarget | undefined;
    readonly probes: readonly string[];
  },
): Promise<PublishedLists> {
  const { listNumber: number, denied } = revocations;
  const { serial, issuer, certificatePem, keyPem } = proof;
  const deniedIds = new Set(denied);
  const others = kept.ended.filter(({ deviceId, because }) =>
    deviceId !== target?.deviceId && (because === "removed" || deniedIds.has(deviceId))
  );
  const content = JSON.stringify(
    {
      number,
      authorities: authorities.map((one) => one.certificatePem),
      revocationLists,
      denied,
      proof: { certificate: certificatePem, key: keyPem },
      proofs: [...kept.proofs, { serial, issuer, revokedAtMs: nowMs }],
      ended: target === undefined ? others : [...others, { ...target, number, atMs: nowMs }],
      probes,
    } satisfies ListsContent,
  );
  const signatures = await Promise.all(authorities.map((one) => signText(one, content)));
  return { number, content, signatures: JSON.stringify(signatures) };
}

/** What of earlier lists is still told. */
export function keptOf(
  { proofs, ended }: Pick<ListsContent, "proofs" | "ended">,
  nowMs: number,
): Pick<ListsContent, "proofs" | "ended"> {
  const since = (days: number) => nowMs - days * DAY_MS;
  return {
    proofs: proofs.filter(({ revokedAtMs }) => revokedAtMs > since(PROOFS_NAMED_DAYS)),
    ended: ended.filter(({ atMs }) => atMs > since(ENDS_TOLD_DAYS)),
  };
}

/** Checks lists from the store; `trusted` are the authorities of the machine, PEM, `nowMs` is the wall clock. */
export async function checkLists(
  { number, content: text, signatures }: PublishedLists,
  { trusted, inPlace, nowMs }: {
    readonly trusted: readonly string[];
    /** The number of the lists in place. */
    readonly inPlace: number;
    readonly nowMs: number;
  },
): Promise<CheckResult> {
  const signed = readSignatures(signatures);
  if (signed === undefined) return { ok: false, because: "not_readable" };
  if (!await isSignedBy(trusted, text, signed)) return { ok: false, because: "not_signed" };
  const content = readContent(text);
  if (content === undefined) return { ok: false, because: "not_readable" };
  if (content.number !== number || !await isSound(content, nowMs).catch(() => false)) {
    return { ok: false, because: "not_sound" };
  }
  return number < inPlace ? { ok: false, because: "older" } : { ok: true, content };
}

async function isSound(content: ListsContent, nowMs: number): Promise<boolean> {
  const { number, authorities, revocationLists, denied, proof, ended, probes } = content;
  const one = (pem: string) => certificatesOf(pem)[0] === pem;
  if (authorities.length === 0 || ![...authorities, ...probes].every(one)) return false;
  const { serialNumber } = openCertificate(proof.certificate);
  return [...denied, ...ended.map(({ deviceId }) => deviceId)].every(isDeviceId) &&
    revocationLists === listsIn(revocationLists) &&
    await areListsOf(revocationLists, authorities, { number, nowMs }) &&
    listsName(revocationLists, serialNumber) &&
    await isIssuedBy(proof.certificate, authorities[0]!) && isPair(proof.certificate, proof.key);
}

function readSignatures(text: string): TextSignature[] | undefined {
  const value = readJson(text);
  const isSignature = (one: unknown) =>
    isJsonObject(one) && typeof one["issuer"] === "string" && typeof one["signature"] === "string";
  return Array.isArray(value) && value.every(isSignature) ? value : undefined;
}

function readContent(text: string): ListsContent | undefined {
  const value = readJson(text);
  if (!isJsonObject(value) || !isJsonObject(value["proof"])) return undefined;
  const { number, authorities, revocationLists, denied, proof, proofs, ended, probes } = value;
  const { certificate, key } = proof as Record<string, unknown>;
  const isRight = Number.isSafeInteger(number) && typeof revocationLists === "string" &&
    typeof certificate === "string" && typeof key === "string" &&
    [authorities, denied, probes].every((list) =>
      isListOf(list, (one) => typeof one === "string")
    ) &&
    isListOf(proofs, isProof) && isListOf(ended, isEnded);
  return isRight ? value as unknown as ListsContent : undefined;
}

function isProof(one: unknown): boolean {
  return isJsonObject(one) && typeof one["issuer"] === "string" &&
    /^[0-9a-f]{1,64}$/.test(String(one["serial"])) && Number.isSafeInteger(one["revokedAtMs"]);
}

function isEnded(one: unknown): boolean {
  return isJsonObject(one) && typeof one["deviceId"] === "string" &&
    (one["because"] === "revoked" || one["because"] === "removed") &&
    Number.isSafeInteger(one["number"]) && Number.isSafeInteger(one["atMs"]);
}

function isListOf(value: unknown, isOne: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isOne);
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
