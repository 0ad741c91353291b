/**
 * The doctor's own devices.
 *
 * The rules are:
 * - a name is `doctor-` and a random UUID: no device of a site has it, and it is found again after a
 *   crash;
 * - keys, certificates and secrets of these devices are never in a file, except for the one that is
 *   in the registry while it is needed; their certificates end within a day.
 */

import {
  type Authority,
  issueClientCertificate,
  type IssuedCertificate,
} from "../site/pki/authority.ts";

/** Days for which a certificate of the doctor's is good. */
const DAYS = 1;
const SECRET_BYTES = 32;

/** A name for a temporary device. */
export function temporaryId(): string {
  return `doctor-${crypto.randomUUID()}`;
}

/** A secret for one. */
export function temporarySecret(): string {
  return crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toBase64({ alphabet: "base64url" });
}

/** A certificate for one; with a `serial` in hex that is on the revocation list, it is revoked from the start. */
export function temporaryCertificate(
  authority: Authority,
  commonName: string,
  options: { nowMs: number; serial?: string },
): Promise<IssuedCertificate> {
  return issueClientCertificate(authority, { commonName, days: DAYS, ...options });
}
