/**
 * What goes onto one device: the folder `devices/ID/` of a site, or the file `devices/ID.pem`; whole
 * or not at all.
 */

import { DEVICE_FILES, isDeviceId } from "../../core/device.ts";
import {
  ackTopic,
  commandTopic,
  dataTopic,
  receiptTopic,
  responseTopic,
} from "../../core/topic.ts";
import {
  type Authority,
  certifyClient,
  type EndCertificate,
  issueClientCertificate,
  type KeyType,
} from "../pki/authority.ts";
import type { PublicKey } from "../pki/certificate_request.ts";
import { openIssuingAuthority } from "../pki/device_authorities.ts";
import { exists } from "../exists.ts";
import { deviceFolder, type SiteLayout } from "../layout.ts";
import {
  createOwnedFile,
  ensureOwnedFolder,
  makeOwnedDraftFolder,
  makeOwnedFolder,
} from "../../config/owned_file.ts";
import { readCertificateFile } from "../../config/credentials.ts";

/** Which device the folder is for, and where the device finds the broker. */
export interface DeviceBundleOptions {
  readonly layout: SiteLayout;
  readonly deviceId: string;
  readonly secret: string;
  readonly nowMs: number;
  readonly brokerHost: string;
  readonly mqttPort: number;
  /** How long the certificate is valid; ten years if not given, never longer than its authority. */
  readonly validDays?: number;
  /** Of a certificate request: the device keeps its key, and gets no key file. */
  readonly publicKey?: PublicKey;
  /** Of the key that is made; EC if not given. */
  readonly keyType?: KeyType;
  /** One PEM file instead of a folder. */
  readonly onePem?: boolean;
}

/** The new certificate (`serial` in lower-case hex, times in unix seconds), or why there is none. */
export type DeviceBundleResult =
  | {
    readonly ok: true;
    /** The folder, or the file. */
    readonly directory: string;
    readonly serial: string;
    readonly notBefore: number;
    readonly notAfter: number;
    readonly issuer: string;
  }
  | { readonly ok: false; readonly fault: BundleFault["kind"] };

/** Why a device cannot be given a bundle. */
export type BundleFault =
  | { readonly kind: "invalid_id"; readonly deviceId: string }
  /** The device's removal has begun. */
  | { readonly kind: "removal_unfinished"; readonly deviceId: string }
  /** Something with that name is there, in whatever case. */
  | { readonly kind: "bundle_exists"; readonly path: string }
  | { readonly kind: "certificate_not_issued"; readonly reason: string };

/** Of the marks of devices whose removal has begun. */
export const REMOVAL_PREFIX = ".removing-";

/** Of the folders in which bundles are made. */
export const DRAFT_PREFIX = ".new-";

/** What comes before the secret in a bundle of one file. */
export const SECRET_LINE = "# secret: ";

/** A certificate, and its key if we made it. */
type DeviceCertificate = EndCertificate & { readonly keyPem?: string };

interface BundleFile {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
}

/** Issues the device's certificate and writes its bundle; refuses a device that has one. */
export async function createDeviceBundle(
  options: DeviceBundleOptions,
): Promise<DeviceBundleResult> {
  const fault = bundleFault(options, await bundleNames(options.layout));
  if (fault !== undefined) return { ok: false, fault: fault.kind };
  const opened = await openIssuingAuthority(options.layout, options);
  if (!opened.ok) return { ok: false, fault: "certificate_not_issued" };
  const { layout } = options;
  const drafts = makeOwnedDraftFolder(layout.devicesFolder, DRAFT_PREFIX);
  try {
    const draft = await draftDeviceBundle(opened.authority, drafts, options);
    // Moved there when complete, so that half a bundle is never seen.
    await Deno.rename(draft.from, draft.to);
    const { serial, notBefore, notAfter, issuer } = draft.certificate;
    return { ok: true, directory: draft.to, serial, notBefore, notAfter, issuer };
  } finally {
    await Deno.remove(drafts, { recursive: true });
  }
}

/** A complete bundle that was not moved to its place yet. */
export interface BundleDraft {
  readonly certificate: EndCertificate;
  readonly from: string;
  readonly to: string;
}

/** Issues a certificate and writes the bundle into the folder `drafts`. */
export async function draftDeviceBundle(
  authority: Authority,
  drafts: string,
  options: DeviceBundleOptions,
): Promise<BundleDraft> {
  return writeDraft(await issueForDevice(authority, options), drafts, options);
}

/** Writes the bundle of a certificate into the folder `drafts`. */
export function writeDraft(
  issued: DeviceCertificate,
  drafts: string,
  options: DeviceBundleOptions,
): BundleDraft {
  const { directory } = deviceFolder(options.layout, options.deviceId);
  const from = `${drafts}/${options.deviceId}`;
  const files = bundleFiles(options, issued);
  if (options.onePem) {
    writeFile(from, onePem(options, files));
    return { certificate: issued, from, to: pemPath(directory) };
  }
  makeOwnedFolder(from);
  for (const file of files) writeFile(`${from}/${file.name}`, file);
  return { certificate: issued, from, to: directory };
}

/** Removes the device's folder and file; false if it had none. */
export async function removeDeviceBundle(layout: SiteLayout, deviceId: string): Promise<boolean> {
  // What is no id could name a folder elsewhere.
  if (!isDeviceId(deviceId)) return false;
  const { directory } = deviceFolder(layout, deviceId);
  const removed = await Promise.all([
    removeIfThere(directory, { directory: true }),
    removeIfThere(pemPath(directory), { directory: false }),
  ]);
  return removed.includes(true);
}

/** True if the device has a folder or a file of its own. */
export async function hasDeviceBundle(layout: SiteLayout, deviceId: string): Promise<boolean> {
  if (!isDeviceId(deviceId)) return false;
  const { directory } = deviceFolder(layout, deviceId);
  return await exists(directory) || await exists(pemPath(directory));
}

/** The entries of the bundles' folder by lower-case name; makes the folder if it is missing. */
export async function bundleNames(layout: SiteLayout): Promise<ReadonlyMap<string, string>> {
  // A copied or checked-out site may lack it: empty folders get lost on the way.
  ensureOwnedFolder(layout.devicesFolder);
  const names = new Map<string, string>();
  for await (const { name } of Deno.readDir(layout.devicesFolder)) {
    names.set(name.toLowerCase(), name);
  }
  return names;
}

/** Why a bundle cannot be made beside those of `names`; undefined if it can. */
export function bundleFault(
  { layout, deviceId }: Pick<DeviceBundleOptions, "layout" | "deviceId">,
  names: ReadonlyMap<string, string>,
): BundleFault | undefined {
  if (!isDeviceId(deviceId)) return { kind: "invalid_id", deviceId };
  const removed = unfinishedRemoval(deviceId, names);
  if (removed !== undefined) return { kind: "removal_unfinished", deviceId: removed };
  // Ids that differ only in case would share a folder on some file systems.
  const wanted = deviceId.toLowerCase();
  const existing = names.get(wanted) ?? names.get(pemPath(wanted));
  return existing === undefined
    ? undefined
    : { kind: "bundle_exists", path: `${layout.devicesFolder}/${existing}` };
}

/** The device of this id, or one that differs in case only, whose removal did not finish. */
export function unfinishedRemoval(
  deviceId: string,
  names: ReadonlyMap<string, string>,
): string | undefined {
  return names.get(`${REMOVAL_PREFIX}${deviceId}`.toLowerCase())?.slice(REMOVAL_PREFIX.length);
}

/** Issues a device's certificate, which nobody else knows yet. */
export function issueForDevice(
  authority: Authority,
  { deviceId, nowMs, validDays, publicKey, keyType }: DeviceBundleOptions,
): Promise<DeviceCertificate> {
  const options = {
    commonName: deviceId,
    nowMs,
    ...(validDays !== undefined && { days: validDays }),
    ...(keyType !== undefined && { keyType }),
  };
  return publicKey === undefined
    ? issueClientCertificate(authority, options)
    : certifyClient(authority, { ...options, publicKey });
}

function writeFile(path: string, { text, mode }: BundleFile): void {
  createOwnedFile(path, text, { mode });
}

function bundleFiles(
  options: DeviceBundleOptions,
  issued: DeviceCertificate,
): BundleFile[] {
  // Only the certificates: an operator may have the key in the same file.
  const gatewayCa = readCertificateFile(options.layout.gatewayCa.certificate).join("");
  const { keyPem } = issued;
  const names = DEVICE_FILES;
  return [
    { name: names.ca, text: gatewayCa, mode: 0o644 },
    { name: names.certificate, text: issued.certificatePem, mode: 0o644 },
    ...(keyPem === undefined ? [] : [{ name: names.key, text: keyPem, mode: 0o600 }]),
    // No newline at the end: firmware takes the file's bytes as the key's.
    { name: names.secret, text: options.secret, mode: 0o600 },
    { name: names.description, text: describe(options, issued), mode: 0o644 },
  ];
}

/** RFC 7468 §2 allows text before each part; every reader of PEM skips it. */
function onePem({ secret }: DeviceBundleOptions, files: readonly BundleFile[]): BundleFile {
  const names = DEVICE_FILES;
  const textOf = (name: string) => files.find((file) => file.name === name)?.text ?? "";
  const text = [
    `# What goes onto the device: ${JSON.stringify(JSON.parse(textOf(names.description)))}`,
    `${SECRET_LINE}${secret}`,
    `${textOf(names.certificate)}${textOf(names.key)}# Authority of the broker's certificate:`,
    textOf(names.ca),
  ].join("\n");
  return { name: "", text, mode: 0o600 };
}

function describe(options: DeviceBundleOptions, issued: DeviceCertificate): string {
  const { deviceId, brokerHost, mqttPort } = options;
  const description = {
    device_id: deviceId,
    client_id: deviceId,
    broker: { host: brokerHost, port: mqttPort },
    topics: {
      data: dataTopic(deviceId),
      response: responseTopic(deviceId),
      command: commandTopic(deviceId),
      ack: ackTopic(deviceId),
      receipt: receiptTopic(deviceId),
    },
    certificate_not_after: new Date(issued.notAfter * 1000).toISOString().replace(".000Z", "Z"),
  };
  return JSON.stringify(description, null, 2) + "\n";
}

/** The one file of a device whose folder would be at `directory`. */
export function pemPath(directory: string): string {
  return `${directory}.pem`;
}

/** A file is not taken for a folder, nor the other way round: "a.pem" may be a device's id. */
async function removeIfThere(path: string, kind: { directory: boolean }): Promise<boolean> {
  try {
    if ((await Deno.lstat(path)).isDirectory !== kind.directory) return false;
    await Deno.remove(path, { recursive: kind.directory });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
