/** A device that is made to find out what the broker allows. */

import { type Access, probeAccess } from "../mosquitto/access_probe.ts";
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

/** A certificate for a probe; it is never in a file. */
export function issueProbeCertificate(
  authority: Authority,
  { name, nowMs }: { readonly name: string; readonly nowMs: number },
): Promise<IssuedCertificate> {
  return issueClientCertificate(authority, { commonName: name, nowMs, days: PROBE_DAYS });
}

/** What a device of that name may do at the broker; throws an `EnforcementError`. */
export async function accessOf(
  { devices, gateway: speaker, nowMs }: BrokerAccess,
  authority: Authority,
  { name, speak }: { readonly name: string; readonly speak: boolean },
): Promise<Access> {
  const credential = await issueProbeCertificate(authority, { name, nowMs });
  return await probeAccess(devices, name, { credential, speaker, speak }).catch((error) => {
    throw new EnforcementError({ kind: "access_unconfirmed", reason: error.message });
  });
}
