/** What a TLS server shows now. */

import { X509Certificate } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { connect, type ConnectionOptions } from "node:tls";
import { isIP } from "node:net";

/** Where a server is, whom its clients trust, and what to show if it asks; PEM texts. */
interface TlsServer {
  readonly host: string;
  readonly port: number;
  /** The name to ask for; the host if it is not given. */
  readonly name?: string;
  readonly ca: string;
  readonly credential?: { readonly certificatePem: string; readonly keyPem: string };
}

const CONNECT_TIMEOUT_MS = 5_000;
const POLL_MS = 100;

/** Waits until a server shows a certificate; otherwise what was seen last, as the system says it. */
export async function untilServed(
  server: TlsServer,
  certificatePem: string,
  timeoutMs: number,
): Promise<{ readonly served: true } | { readonly served: false; readonly reason: string }> {
  const { fingerprint256: wanted } = new X509Certificate(certificatePem);
  const endMs = performance.now() + timeoutMs;
  for (;;) {
    const seen = await shown(server);
    if (seen.fingerprint === wanted) return { served: true };
    if (performance.now() >= endMs) return { served: false, reason: seen.reason };
    await pause(POLL_MS);
  }
}

/** Its fingerprint, as a client sees it that trusts the authority and checks the name. */
function shown({ host, port, name = host, ca, credential }: TlsServer): Promise<
  { readonly fingerprint?: string; readonly reason: string }
> {
  const options: ConnectionOptions = {
    ...{ host, port, ca, timeout: CONNECT_TIMEOUT_MS },
    ...(isIP(name) === 0 && { servername: name }),
    ...(credential && { cert: credential.certificatePem, key: credential.keyPem }),
  };
  return new Promise((resolve) => {
    const socket = connect(options);
    const fail = (reason: string) => {
      socket.destroy();
      resolve({ reason });
    };
    socket.once("secureConnect", () => {
      const { fingerprint256: fingerprint, serialNumber } = socket.getPeerCertificate();
      socket.end();
      resolve({ fingerprint, reason: `serial ${serialNumber.toLowerCase()}` });
    });
    socket.once("timeout", () => fail(`no answer within ${CONNECT_TIMEOUT_MS} ms`));
    socket.on("error", (error) => fail(error.message));
  });
}
