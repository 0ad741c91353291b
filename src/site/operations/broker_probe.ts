/** A device that is made to find out what the broker allows. */

import { type Access, type Credential, probeAccess } from "../mosquitto/access_probe.ts";
import {
  type Authority,
  issueClientCertificate,
  type IssuedCertificate,
} from "../pki/authority.ts";
import type { BrokerAccess } from "./broker_access.ts";
import { EnforcementError } from "./enforcement_error.ts";

/** A probe's certificate is of no use soon after. */
const PROBE_DAYS = 1;

/** A name that no other client has. */
export function probeName(): string {
  return `probe-${crypto.randomUUID()}`;
}

/** True for a name that `probeName` may have made. */
export function isProbeName(name: string): boolean {
  return /^probe-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(name);
}

/** A certificate for a probe. */
export function issueProbeCertificate(
  authority: Authority,
  { name, nowMs, days = PROBE_DAYS }: {
    readonly name: string;
    readonly nowMs: number;
    readonly days?: number;
  },
): Promise<IssuedCertificate> {
  return issueClientCertificate(authority, { commonName: name, nowMs, days });
}

/** What a device of that name may do at the broker; throws an `EnforcementError`. */
export async function accessOf(
  access: BrokerAccess,
  authority: Authority,
  { name, speak }: { readonly name: string; readonly speak: boolean },
): Promise<Access> {
  const credential = await issueProbeCertificate(authority, { name, nowMs: access.nowMs });
  return await accessWith(access, credential, { name, speak });
}

/** What a device with this certificate, which is in that name, may do at the broker; throws likewise. */
export async function accessWith(
  { devices, gateway: speaker }: BrokerAccess,
  credential: Credential,
  { name, speak }: { readonly name: string; readonly speak: boolean },
): Promise<Access> {
  return await probeAccess(devices, name, { credential, speaker, speak }).catch((error) => {
    throw new EnforcementError({ kind: "access_unconfirmed", reason: error.message });
  });
}
