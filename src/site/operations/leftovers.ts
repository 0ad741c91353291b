/**
 * What a command that broke off has left among the bundles, and how the next one clears it up.
 *
 * The rules are:
 * - a command that changes bundles holds the authority's lock, so what is found is at work for nobody;
 * - a mark is written before anything is changed and says what was to come: it is settled by looking
 *   at what came, so that it does not matter where the run broke off;
 * - a certificate that did not reach its place is withdrawn; a secret that is registered is placed.
 */

import { X509Certificate } from "node:crypto";
import { readOperatorFile, readText } from "../../config/operator_file.ts";
import { readCertificates } from "../../config/pem.ts";
import { secondsOf } from "../../core/time.ts";
import type { DeviceCertificate } from "../../store/device_record.ts";
import type { RegistryStore } from "../../store/registry.ts";
import { createOwnedFile, ensureOwnedFolder } from "../../config/owned_file.ts";
import { isDraftName } from "../atomic_write.ts";
import { exists } from "../exists.ts";
import { deviceFolder, type SiteLayout } from "../layout.ts";
import { DRAFT_PREFIX, pemPath } from "./device_bundle.ts";
import { draftSecret } from "./secret_place.ts";

/** Where leftovers are looked for, and who knows what came of them. */
interface LeftoverParts {
  readonly layout: SiteLayout;
  readonly registry: RegistryStore;
  readonly nowMs: number;
}

/** What a rotation is about to bring: a certificate by its serial, or a secret by its number. */
type Rotation = { readonly serial: string } | { readonly generation: number };

const OLD_PREFIX = ".old-";
const ROTATION_PREFIX = ".rotating-";

/** Settles and removes everything that was left; the caller holds the authority's lock. */
export async function clearLeftovers(parts: LeftoverParts): Promise<void> {
  const { devicesFolder } = parts.layout;
  const names = await namesIn(devicesFolder);
  for (const name of names) {
    const path = `${devicesFolder}/${name}`;
    if (name.startsWith(OLD_PREFIX)) await settleOld(path, name.slice(OLD_PREFIX.length), parts);
    if (name.startsWith(DRAFT_PREFIX) || isDraftName(name)) {
      await Deno.remove(path, { recursive: true });
    }
  }
  for (const name of names.filter((name) => name.startsWith(ROTATION_PREFIX))) {
    await settleRotation(name.slice(ROTATION_PREFIX.length), parts);
    await Deno.remove(`${devicesFolder}/${name}`);
  }
}

/** Writes down that a rotation of a device begins; `clearLeftovers` takes it away. */
export async function markRotation(
  { devicesFolder }: SiteLayout,
  deviceId: string,
  rotation: Rotation,
): Promise<void> {
  ensureOwnedFolder(devicesFolder);
  const draft = `${devicesFolder}/${DRAFT_PREFIX}${crypto.randomUUID()}`;
  createOwnedFile(draft, JSON.stringify(rotation), { mode: 0o600 });
  await Deno.rename(draft, `${devicesFolder}/${ROTATION_PREFIX}${deviceId}`);
}

/** Moves a bundle out of the way of the one that replaces it; `clearLeftovers` takes it away. */
export async function moveAway({ devicesFolder }: SiteLayout, name: string): Promise<void> {
  const path = `${devicesFolder}/${name}`;
  if (await exists(path)) await Deno.rename(path, `${devicesFolder}/${OLD_PREFIX}${name}`);
}

/**
 * Withdraws the certificates of a bundle that was placed for a device that was not registered then:
 * somebody may have taken the bundle away. True if there were any.
 */
export async function withdrawUnregistered(
  { layout, registry, nowMs }: LeftoverParts,
  deviceId: string,
): Promise<boolean> {
  const withdrawn = new Set((await registry.revokedCertificates(0)).map(({ serial }) => serial));
  const left = certificatesIn(layout, deviceId).filter(({ serial }) => !withdrawn.has(serial));
  for (const certificate of left) {
    await registry.addCertificate(deviceId, certificate);
    await registry.withdrawCertificate(certificate.serial, secondsOf(nowMs));
  }
  return left.length > 0;
}

/** It goes back if nothing has taken its place, and the device is still there. */
async function settleOld(path: string, name: string, parts: LeftoverParts): Promise<void> {
  const { layout: { devicesFolder }, registry } = parts;
  const place = `${devicesFolder}/${name}`;
  const owner = await registry.find(name) ?? await registry.find(name.replace(/\.pem$/, ""));
  if (owner && !await exists(place)) await Deno.rename(path, place);
  else await Deno.remove(path, { recursive: true });
}

async function settleRotation(deviceId: string, parts: LeftoverParts): Promise<void> {
  const { layout, registry, nowMs } = parts;
  const device = await registry.find(deviceId);
  if (!device) return;
  const rotation = await readMark(`${layout.devicesFolder}/${ROTATION_PREFIX}${deviceId}`);
  if ("serial" in rotation) {
    const placed = certificatesIn(layout, deviceId);
    if (placed.some(({ serial }) => serial === rotation.serial)) return;
    await registry.withdrawCertificate(rotation.serial, secondsOf(nowMs));
  } else if (rotation.generation === device.generation) {
    const draft = await draftSecret(layout, deviceId, device.sharedSecret);
    if (draft.ok) await draft.replacement.place();
  }
}

async function readMark(path: string): Promise<Rotation> {
  return JSON.parse(await readText(path));
}

/** The certificates in a device's folder and file; their issuer is not known. */
function certificatesIn(layout: SiteLayout, deviceId: string): DeviceCertificate[] {
  const { directory, certificate } = deviceFolder(layout, deviceId);
  return [certificate, pemPath(directory)].flatMap((path) => {
    try {
      const read = readCertificates(readOperatorFile(path));
      return read.ok ? [describe(new X509Certificate(read.value[0]))] : [];
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

function describe(
  { serialNumber, validFromDate, validToDate }: X509Certificate,
): DeviceCertificate {
  return {
    serial: serialNumber.toLowerCase(),
    notBefore: secondsOf(validFromDate.getTime()),
    notAfter: secondsOf(validToDate.getTime()),
  };
}

async function namesIn(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const { name } of Deno.readDir(folder)) names.push(name);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  return names;
}
