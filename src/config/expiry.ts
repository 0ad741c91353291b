/** When certificates and revocation lists expire. */

import { X509Certificate } from "node:crypto";
import { nextUpdateOf } from "../core/revocation_list.ts";
import { secondsOf } from "../core/time.ts";
import { partsOf, type PemPart } from "./pem.ts";

/** How long ahead an operator is warned, days. */
export const WARN_DAYS = 30;

/** Earliest expiry in a file, PEM or a certificate in DER, Unix seconds; undefined if nothing expires. */
export function earliestEnd(bytes: Uint8Array): number | undefined {
  const parts = partsOf(bytes);
  if (!parts.ok) return undefined;
  const ends = parts.value.map(endOf).filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : Math.min(...ends);
}

function endOf({ label, der }: PemPart): number | undefined {
  if (/CRL$/.test(label)) return nextUpdateOf(der);
  if (!/^$|CERTIFICATE$/.test(label)) return undefined;
  try {
    return secondsOf(new X509Certificate(der).validToDate.getTime());
  } catch {
    return undefined; // the program that uses the certificate says that it cannot be read
  }
}
