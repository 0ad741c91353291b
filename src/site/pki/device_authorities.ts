/** The authorities that devices' certificates come from: the issuing one, and during a move the previous one. */

import { readKeyPair, StartError } from "../../config/credentials.ts";
import { type Authority, openAuthority } from "./authority.ts";
import { exists } from "../exists.ts";
import type { CredentialPaths, SiteLayout } from "../layout.ts";

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
  at: { readonly nowMs: number } | { readonly mayBeExpired: true },
): Promise<{ ok: true; authority: Authority } | { ok: false; fault: string }> {
  const opened = await openOne(layout.deviceCa);
  if (!opened.ok) return opened;
  const [authority] = opened.authorities;
  if ("mayBeExpired" in at) return { ok: true, authority };
  return unlessExpired(authority, { path: layout.deviceCa.certificate, ...at });
}

/** Opens the authority of brokers and gateways, unless it has expired. */
export async function openGatewayAuthority(
  { gatewayCa }: SiteLayout,
  { nowMs }: { readonly nowMs: number },
): Promise<{ ok: true; authority: Authority } | { ok: false; fault: string }> {
  const opened = await openOne(gatewayCa);
  if (!opened.ok) return opened;
  return unlessExpired(opened.authorities[0], { path: gatewayCa.certificate, nowMs });
}

/** The certificates of a PEM file, one text each. */
export function certificatesOf(pem: string): string[] {
  return pem.match(CERTIFICATE) ?? [];
}

function unlessExpired(
  authority: Authority,
  { path, nowMs }: { readonly path: string; readonly nowMs: number },
): { ok: true; authority: Authority } | { ok: false; fault: string } {
  const isOver = authority.certificate.notAfter.getTime() <= nowMs;
  return isOver ? { ok: false, fault: `"${path}" has expired` } : { ok: true, authority };
}

async function openOne(paths: CredentialPaths): Promise<AuthoritiesResult> {
  try {
    const { certificate, key: keyPem } = readKeyPair(paths);
    const [certificatePem = ""] = certificatesOf(certificate);
    const opened = await openAuthority({ certificatePem, keyPem });
    return opened.ok
      ? { ok: true, authorities: [opened.authority] }
      : { ok: false, fault: `Cannot use "${paths.certificate}": ${opened.fault}` };
  } catch (error) {
    if (error instanceof StartError) return { ok: false, fault: error.message };
    throw error;
  }
}
