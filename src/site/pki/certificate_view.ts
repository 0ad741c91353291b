/** What a certificate says of itself, for people. */

import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { type KeyType, openCertificate } from "./authority.ts";
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

/** What a certificate that is renewed keeps. */
export interface KeptIdentity {
  readonly commonName: string | undefined;
  readonly names: readonly string[];
  readonly keyType: KeyType;
  readonly serial: string;
}

/** Reads it from the certificate. */
export function identityOf(pem: string): KeptIdentity {
  const certificate = new x509.X509Certificate(pem);
  return {
    commonName: certificate.subjectName.getField("CN")[0],
    names: namesIn(certificate),
    keyType: new X509Certificate(pem).publicKey.asymmetricKeyType === "rsa" ? "rsa" : "ec",
    serial: certificate.serialNumber.toLowerCase(),
  };
}

/** True if an authority, given as its certificate, has issued a certificate; false if one is none. */
export async function isIssuedBy(pem: string, authorityPem: string): Promise<boolean> {
  try {
    // Not the runtime's own: checkIssued() takes a name in another encoding for another name, and
    // verify() throws for an authority with a key of P-521.
    const [certificate, authority] = [openCertificate(pem), openCertificate(authorityPem)];
    const { subject, publicKey } = authority;
    return certificate.issuer === subject && maySign(authority) &&
      meansKeyOf(certificate, authority) &&
      await certificate.verify({ publicKey, signatureOnly: true });
  } catch {
    return false;
  }
}

/** RFC 5280 §4.2.1.3: a key whose uses are named must name this one. */
function maySign(authority: x509.X509Certificate): boolean {
  const usages = authority.getExtension(x509.KeyUsagesExtension)?.usages;
  return usages === undefined || (usages & x509.KeyUsageFlags.keyCertSign) !== 0;
}

/** RFC 5280 §4.2.1.1: where both name the authority's key, they name the same. */
function meansKeyOf(certificate: x509.X509Certificate, authority: x509.X509Certificate): boolean {
  const meant = certificate.getExtension(x509.AuthorityKeyIdentifierExtension)?.keyId;
  const own = authority.getExtension(x509.SubjectKeyIdentifierExtension)?.keyId;
  return meant === undefined || own === undefined || meant === own;
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
