/** What a certificate says of itself, for people. */

import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { certificatesOf } from "./device_authorities.ts";

/** One certificate; `serial` in lower-case hex, times in unix milliseconds. */
export interface CertificateView {
  readonly subject: string;
  /** The hosts that it names, as it names them; none if it is no server's. */
  readonly names: readonly string[];
  readonly issuer: string;
  readonly serial: string;
  readonly endMs: number;
}

/** The certificates of a PEM text, in its order. */
export function certificateViews(pem: string): CertificateView[] {
  return certificatesOf(pem).map(viewOf);
}

/** The hosts that a certificate names: DNS names and addresses. */
export function namesOf(pem: string): string[] {
  return namesIn(new x509.X509Certificate(pem));
}

function viewOf(pem: string): CertificateView {
  const certificate = new x509.X509Certificate(pem);
  return {
    subject: certificate.subject,
    names: namesIn(certificate),
    issuer: certificate.issuer,
    serial: certificate.serialNumber.toLowerCase(),
    endMs: certificate.notAfter.getTime(),
  };
}

function namesIn(certificate: x509.X509Certificate): string[] {
  const names = certificate.getExtension(x509.SubjectAlternativeNameExtension)?.names.toJSON();
  return (names ?? []).filter(({ type }) => type === "dns" || type === "ip")
    .map(({ value }) => value as string);
}
