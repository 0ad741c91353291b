/** The authorities that devices' certificates come from: the issuing one, and during a move the previous one. */

import { type Authority, keyBelongsToCertificate, openAuthority } from "./authority.ts";
import { exists } from "../exists.ts";
import type { CredentialPaths, SiteLayout } from "../layout.ts";
import { readText } from "../../config/operator_file.ts";

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n?/g;

/** Authorities, the issuing one first, or why they cannot be used. */
type AuthoritiesResult =
  | { readonly ok: true; readonly authorities: readonly [Authority, ...Authority[]] }
  | { readonly ok: false; readonly fault: string };

/** Opens every authority whose certificates the broker takes. */
export async function openDeviceAuthorities(layout: SiteLayout): Promise<AuthoritiesResult> {
  const current = await openOne(layout.deviceCa);
  if (!current.ok) return current;
  if (!await exists(layout.previousDeviceCa.certificate)) return current;
  const previous = await openOne(layout.previousDeviceCa);
  if (!previous.ok) return previous;
  return { ok: true, authorities: [...current.authorities, ...previous.authorities] };
}

/** Opens the authority that issues, unless it has expired. */
export async function openIssuingAuthority(
  layout: SiteLayout,
  nowMs: number,
): Promise<{ ok: true; authority: Authority } | { ok: false; fault: string }> {
  const opened = await openOne(layout.deviceCa);
  if (!opened.ok) return opened;
  const [authority] = opened.authorities;
  return authority.certificate.notAfter.getTime() > nowMs
    ? { ok: true, authority }
    : { ok: false, fault: `"${layout.deviceCa.certificate}" has expired` };
}

/** The certificates of a PEM file, one text each. */
export function certificatesOf(pem: string): string[] {
  return pem.match(CERTIFICATE) ?? [];
}

async function openOne(paths: CredentialPaths): Promise<AuthoritiesResult> {
  let pem: { certificatePem: string; keyPem: string };
  try {
    const [certificatePem = ""] = certificatesOf(await readText(paths.certificate));
    pem = { certificatePem, keyPem: await readText(paths.key) };
  } catch (error) {
    return { ok: false, fault: `Cannot read the device authority: ${(error as Error).message}` };
  }
  if (!keyBelongsToCertificate(pem.certificatePem, pem.keyPem)) {
    return { ok: false, fault: `"${paths.key}" is not the key of "${paths.certificate}"` };
  }
  return { ok: true, authorities: [await openAuthority(pem)] };
}
