/**
 * A TLS 1.1 ClientHello, built by hand: our libraries no longer support it (RFC 4346).
 */

const HANDSHAKE = 22;
const ALERT = 21;
const SERVER_HELLO = 2;
const TIMEOUT_MS = 5_000;

/** AES with SHA-1, over ECDHE-ECDSA, ECDHE-RSA and RSA: what every server of that time had. */
const CIPHERS = [0xc00a, 0xc009, 0xc014, 0xc013, 0x0035, 0x002f, 0x00ff];
/** supported_groups: P-256, P-384; ec_point_formats: uncompressed. */
const EXTENSIONS = [0, 10, 0, 6, 0, 4, 0, 23, 0, 24, 0, 11, 0, 2, 1, 0];

/** How a server answers a TLS 1.1 client: accepted or refused, with a text for the report. */
export async function offerOldTls(
  address: { readonly host: string; readonly port: number },
): Promise<{ readonly accepted: boolean; readonly answer: string }> {
  const connection = await Deno.connect({ hostname: address.host, port: address.port });
  const timer = setTimeout(() => connection.close(), TIMEOUT_MS);
  try {
    await connection.write(clientHello());
    const answer = new Uint8Array(16);
    const length = await connection.read(answer);
    return meaningOf(answer.subarray(0, length ?? 0));
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionReset) return meaningOf(new Uint8Array());
    throw error;
  } finally {
    clearTimeout(timer);
    try {
      connection.close();
    } catch {
      // The time was up, and it is closed.
    }
  }
}

function meaningOf(record: Uint8Array): { accepted: boolean; answer: string } {
  const [kind, , , , , first, second] = record;
  if (kind === HANDSHAKE && first === SERVER_HELLO) {
    return { accepted: true, answer: "it accepts TLS 1.1" };
  }
  if (kind === ALERT) return { accepted: false, answer: `TLS alert ${second}` };
  return { accepted: false, answer: "it closed the connection" };
}

function clientHello(): Uint8Array<ArrayBuffer> {
  const random = crypto.getRandomValues(new Uint8Array(32));
  const ciphers = CIPHERS.flatMap(word);
  const hello = [
    ...[3, 2], // TLS 1.1
    ...random,
    0, // no session
    ...[...word(ciphers.length), ...ciphers],
    ...[1, 0], // no compression
    ...[...word(EXTENSIONS.length), ...EXTENSIONS],
  ];
  const handshake = [1, 0, ...word(hello.length), ...hello];
  return Uint8Array.from([HANDSHAKE, 3, 1, ...word(handshake.length), ...handshake]);
}

function word(number: number): number[] {
  return [number >> 8, number & 0xff];
}
