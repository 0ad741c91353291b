/**
 * Names and traces of the doctor's own devices.
 *
 * The rules are:
 * - a name is `doctor-` and a random UUID: nobody else's, and found again after a crash;
 * - keys, certificates and secrets of these devices are never in a file, save for the one that is
 *   in the registry while it is needed; their certificates end within a day;
 * - whatever table names devices is searched for traces, also one that later versions add; only
 *   the audit, which nobody can take anything out of, keeps them, and the replay guard, which
 *   forgets every id in its time.
 */

import { Registry } from "../store/sqlite/registry.ts";
import type { SealingKey } from "../store/sealed_secret.ts";
import type { Database } from "../store/sqlite/database.ts";
import {
  type Authority,
  issueClientCertificate,
  type IssuedCertificate,
} from "../site/pki/authority.ts";

/** Days for which a certificate of the doctor's is good. */
const DAYS = 1;
const SECRET_BYTES = 32;

/** A name for a device that will be gone soon. */
export function temporaryId(): string {
  return `doctor-${crypto.randomUUID()}`;
}

/** A secret for one. */
export function temporarySecret(): string {
  return crypto.getRandomValues(new Uint8Array(SECRET_BYTES)).toBase64({ alphabet: "base64url" });
}

/** A certificate for one; with a `serial` in hex that is on the revocation list, it is born revoked. */
export function temporaryCertificate(
  authority: Authority,
  commonName: string,
  options: { nowMs: number; serial?: string },
): Promise<IssuedCertificate> {
  return issueClientCertificate(authority, { commonName, days: DAYS, ...options });
}

/** Registers a device that will be gone soon. */
export function addTemporaryDevice(
  store: Database,
  device: { deviceId: string; secret: string; certificate: IssuedCertificate },
  options: { sealingKeys: readonly SealingKey[]; nowMs: number },
): void {
  const { deviceId, secret, certificate } = device;
  const createdAt = Math.floor(options.nowMs / 1000);
  new Registry(store, options.sealingKeys)
    .add({ deviceId, sharedSecret: secret, createdAt }, certificate);
}
