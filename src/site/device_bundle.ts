/** What goes onto one device: the folder `devices/ID/` of a site, whole or not at all. */

import { DEVICE_ID_RULE, isDeviceId } from "../core/device.ts";
import { commandTopic, dataTopic, responseTopic } from "../core/topic.ts";
import {
  issueClientCertificate,
  type IssuedCertificate,
  keyBelongsToCertificate,
  openAuthority,
} from "./authority.ts";
import { deviceFolder, deviceFolderAt, type SiteLayout } from "./layout.ts";

/** Whom to make the folder for, and where the device finds the broker. */
export interface DeviceBundleOptions {
  readonly layout: SiteLayout;
  readonly deviceId: string;
  readonly secret: string;
  readonly nowMs: number;
  readonly brokerHost: string;
  readonly mqttPort: number;
}

/** The new certificate (`serial` in lower-case hex, times in unix seconds), or why there is none. */
export type DeviceBundleResult =
  | {
    readonly ok: true;
    readonly directory: string;
    readonly serial: string;
    readonly notBefore: number;
    readonly notAfter: number;
    readonly issuer: string;
  }
  | { readonly ok: false; readonly fault: string };

/** Issues the device's certificate and writes its folder; refuses a device that has one. */
export async function createDeviceBundle(
  options: DeviceBundleOptions,
): Promise<DeviceBundleResult> {
  const fault = await bundleFault(options);
  if (fault !== undefined) {
    return { ok: false, fault };
  }
  const { layout, deviceId, nowMs } = options;
  const pem = await readDeviceAuthority(layout);
  if (!keyBelongsToCertificate(pem.certificatePem, pem.keyPem)) {
    return { ok: false, fault: mismatchedAuthority(layout) };
  }
  const authority = await openAuthority(pem);
  const issued = await issueClientCertificate(authority, { commonName: deviceId, nowMs });
  if (issued.notAfter * 1000 <= nowMs) {
    return { ok: false, fault: expiredAuthority(layout) };
  }
  await writeBundle(options, issued);
  const { serial, notBefore, notAfter, issuer } = issued;
  const { directory } = deviceFolder(layout, deviceId);
  return { ok: true, directory, serial, notBefore, notAfter, issuer };
}

/** Removes the device's folder; false where it had none. */
export async function removeDeviceBundle(layout: SiteLayout, deviceId: string): Promise<boolean> {
  // What is no id could name a folder elsewhere.
  if (!isDeviceId(deviceId)) return false;
  try {
    await Deno.remove(deviceFolder(layout, deviceId).directory, { recursive: true });
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

async function bundleFault({ layout, deviceId }: DeviceBundleOptions): Promise<string | undefined> {
  if (!isDeviceId(deviceId)) {
    return `Cannot name a device ${JSON.stringify(deviceId)}: a device id has ${DEVICE_ID_RULE}`;
  }
  // A copied or checked-out site may lack it: empty folders get lost on the way.
  await Deno.mkdir(layout.devicesFolder, { recursive: true, mode: 0o700 });
  const existing = await folderOfSameName(layout, deviceId);
  return existing === undefined
    ? undefined
    : `Cannot make the device's folder: "${layout.devicesFolder}/${existing}" exists already`;
}

/** Ids that differ only in case would share a folder on some file systems. */
async function folderOfSameName(layout: SiteLayout, deviceId: string): Promise<string | undefined> {
  const wanted = deviceId.toLowerCase();
  for await (const { name } of Deno.readDir(layout.devicesFolder)) {
    if (name.toLowerCase() === wanted) return name;
  }
  return undefined;
}

async function readDeviceAuthority({ deviceCa }: SiteLayout) {
  return {
    certificatePem: await Deno.readTextFile(deviceCa.certificate),
    keyPem: await Deno.readTextFile(deviceCa.key),
  };
}

function mismatchedAuthority({ deviceCa }: SiteLayout): string {
  return `Cannot issue a certificate: "${deviceCa.key}" is not the key of "${deviceCa.certificate}"`;
}

function expiredAuthority({ deviceCa }: SiteLayout): string {
  return `Cannot issue a certificate: "${deviceCa.certificate}" has expired`;
}

/** Written beside its place and moved there when complete: nobody sees half a folder. */
async function writeBundle(options: DeviceBundleOptions, issued: IssuedCertificate): Promise<void> {
  const { layout, deviceId } = options;
  const draft = await Deno.makeTempDir({ dir: layout.devicesFolder, prefix: ".new-" });
  try {
    for (const { path, text, mode } of await bundleFiles(draft, { ...options, issued })) {
      await Deno.writeTextFile(path, text, { createNew: true, mode: 0o600 });
      await Deno.chmod(path, mode);
    }
    await Deno.rename(draft, deviceFolder(layout, deviceId).directory);
  } catch (error) {
    await Deno.remove(draft, { recursive: true });
    throw error;
  }
}

async function bundleFiles(
  directory: string,
  options: DeviceBundleOptions & { issued: IssuedCertificate },
) {
  const { layout, secret, issued } = options;
  const paths = deviceFolderAt(directory);
  const gatewayCa = await Deno.readTextFile(layout.gatewayCa.certificate);
  return [
    { path: paths.ca, text: gatewayCa, mode: 0o644 },
    { path: paths.certificate, text: issued.certificatePem, mode: 0o644 },
    { path: paths.key, text: issued.keyPem, mode: 0o600 },
    // No newline at the end: firmware takes the file's bytes as the key's.
    { path: paths.secret, text: secret, mode: 0o600 },
    { path: paths.description, text: describe(options), mode: 0o644 },
  ];
}

function describe(options: DeviceBundleOptions & { issued: IssuedCertificate }): string {
  const { deviceId, brokerHost, mqttPort, issued } = options;
  const description = {
    device_id: deviceId,
    client_id: deviceId,
    broker: { host: brokerHost, port: mqttPort },
    topics: {
      data: dataTopic(deviceId),
      response: responseTopic(deviceId),
      command: commandTopic(deviceId),
    },
    certificate_not_after: new Date(issued.notAfter * 1000).toISOString().replace(".000Z", "Z"),
  };
  return JSON.stringify(description, null, 2) + "\n";
}
