/** When certificates and revocation lists expire. */

import { X509Certificate } from "node:crypto";
import { nextUpdateOf } from "../core/revocation_list.ts";

/** How long ahead an operator is warned, days. */
export const WARN_DAYS = 30;

const PEM = /-----BEGIN (CERTIFICATE|X509 CRL|CRL)-----([^-]+)-----END/g;

/** Earliest expiry in a PEM file, Unix seconds; undefined if nothing in it expires. */
export function earliestEnd(pem: string): number | undefined {
  const ends = [...pem.matchAll(PEM)].map(([, label, base64]) => {
    const der = Uint8Array.fromBase64(base64!);
    return label === "CERTIFICATE"
      ? Math.floor(new X509Certificate(der).validToDate.getTime() / 1000)
      : nextUpdateOf(der);
  }).filter((end) => end !== undefined);
  return ends.length === 0 ? undefined : Math.min(...ends);
}
