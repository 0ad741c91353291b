/** Why a certificate is refused, in the operator's words instead of the TLS library's. */

const SERVER_COMMAND = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes " +
  "-days 3650 -subj /CN=NAME -addext subjectAltName=DNS:NAME " +
  "-addext basicConstraints=critical,CA:FALSE -keyout server.key -out server.crt";

/** What the library says, and what that means. */
const FAULTS: readonly [said: RegExp, fault: string][] = [
  [
    /CaUsedAsEndEntity/,
    "its certificate is one of an authority (CA:TRUE, which openssl req -x509 makes unless it is " +
    `told otherwise), and no server may use one; make another: ${SERVER_COMMAND}`,
  ],
  [
    /UnsupportedCertVersion/,
    "its certificate is X.509 version 1, which has no names of hosts; make one of version 3: " +
    SERVER_COMMAND,
  ],
  [/UnknownIssuer/, "its certificate is from an authority that is not trusted here"],
  [
    /BadSignature/,
    "its certificate is from another authority of the same name as the one that is trusted here",
  ],
  [/certificate not valid for name|NotValidForName/, "its certificate does not name this host"],
  [
    /certificate (?:has )?expired|CertExpired|: Expired/,
    "its certificate has expired, or this clock is wrong",
  ],
  [/not valid yet|NotValidYet/, "its certificate is not valid yet, or this clock is wrong"],
  [
    /InvalidPurpose|required.*EKU|ExtendedKeyUsage/i,
    "its certificate is not for a server: it needs the extended key usage serverAuth",
  ],
];

/** What is wrong with a peer's certificate; undefined if `reason` is about something else. */
export function tlsFault(reason: string): string | undefined {
  return FAULTS.find(([said]) => said.test(reason))?.[1];
}

/** The command that makes a certificate which a server can use. */
export function serverCertificateCommand(): string {
  return SERVER_COMMAND;
}
