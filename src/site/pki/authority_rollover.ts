/**
 * The move from one device authority to the next, with both trusted in between.
 *
 * The rules are:
 * - the issuing authority is the first in device-ca.crt, and device-ca.key is its key; during a move
 *   the previous one is second, and also in device-ca.previous.crt and .key, since it must
 *   still sign its revocation list;
 * - each step is one file that is replaced, in an order in which every device can connect at any
 *   time; the same command continues a move that was interrupted.
 */

import { createAuthority, fingerprintOf } from "./authority.ts";
import { certificatesOf, openIssuingAuthority } from "./device_authorities.ts";
import type { CredentialPaths, SiteLayout } from "../layout.ts";
import { atomicWrite, writeWhole } from "../atomic_write.ts";
import { ignoreMissing } from "../exists.ts";
import { waitForLock } from "../site_lock.ts";
import { readText } from "../../config/operator_file.ts";

/** What became of a move: the fingerprints of the authorities, or why there is none. */
type RolloverResult =
  | { readonly ok: true; readonly issuer: string; readonly previous: string | undefined }
  | { readonly ok: false; readonly fault: string };

/** Runs `work` while no other process moves the authority of this site. */
export async function withAuthorityLock<T>(
  layout: SiteLayout,
  work: () => Promise<T>,
): Promise<T> {
  using _lock = await waitForLock(layout, "authority");
  return await work();
}

/** Makes a new authority and puts it before the present one, or continues if that was interrupted. */
export async function beginRollover(layout: SiteLayout, nowMs: number): Promise<RolloverResult> {
  const { deviceCa, previousDeviceCa, nextDeviceCa } = layout;
  const [issuing = ""] = certificatesOf(await readText(deviceCa.certificate));
  const next = await readPair(nextDeviceCa) ?? await makeNext(layout, nowMs);
  const begun = await readPair(previousDeviceCa);
  if (next === undefined) return moveOf(issuing, begun?.certificatePem);

  if (issuing !== next.certificatePem) {
    const opened = await openIssuingAuthority(layout, { mayBeExpired: true });
    if (!opened.ok) return opened;
    const { keyPem } = opened.authority;
    await writePair(previousDeviceCa, { certificatePem: issuing, keyPem });
    await atomicWrite(deviceCa.certificate, next.certificatePem + issuing);
  }
  await atomicWrite(deviceCa.key, next.keyPem);
  await removePair(nextDeviceCa);
  const previous = await readPair(previousDeviceCa);
  return moveOf(next.certificatePem, previous?.certificatePem);
}

/** The authorities as they are now. */
export async function currentRollover(layout: SiteLayout): Promise<RolloverResult> {
  const [issuing = ""] = certificatesOf(await readText(layout.deviceCa.certificate));
  return moveOf(issuing, (await readPair(layout.previousDeviceCa))?.certificatePem);
}

/** Removes the previous authority and its key. */
export async function finishRollover(layout: SiteLayout): Promise<void> {
  const [issuing = ""] = certificatesOf(await readText(layout.deviceCa.certificate));
  await atomicWrite(layout.deviceCa.certificate, issuing);
  await removePair(layout.previousDeviceCa);
}

interface Pair {
  readonly certificatePem: string;
  readonly keyPem: string;
}

/** The authority to move to; undefined if a move has begun already. */
async function makeNext(layout: SiteLayout, nowMs: number): Promise<Pair | undefined> {
  if (await readPair(layout.previousDeviceCa)) return undefined;
  // Of another name than the one before: OpenSSL looks lists and authorities up by their names.
  const day = new Date(nowMs).toISOString().slice(0, 10);
  const commonName = `Device authority ${day} ${crypto.randomUUID().slice(0, 8)}`;
  const next = await createAuthority({ commonName, nowMs });
  await writePair(layout.nextDeviceCa, next);
  return next;
}

/** The certificate last: if it exists, so does the key. */
async function writePair(paths: CredentialPaths, pair: Pair): Promise<void> {
  await writeWhole(paths.key, pair.keyPem, 0o600);
  await writeWhole(paths.certificate, pair.certificatePem, 0o644);
}

/** The certificate first, for the same reason. */
async function removePair(paths: CredentialPaths): Promise<void> {
  for (const path of [paths.certificate, paths.key]) {
    await Deno.remove(path).catch(ignoreMissing);
  }
}

async function readPair(paths: CredentialPaths): Promise<Pair | undefined> {
  try {
    const certificatePem = await readText(paths.certificate);
    return { certificatePem, keyPem: await readText(paths.key) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function moveOf(issuing: string, previous: string | undefined): RolloverResult {
  return {
    ok: true,
    issuer: fingerprintOf(issuing),
    previous: previous === undefined ? undefined : fingerprintOf(previous),
  };
}
