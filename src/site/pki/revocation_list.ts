/** Reads revocation lists that others have made (RFC 5280 §5). */

import "reflect-metadata";
import * as x509 from "@peculiar/x509";

const CRL_NUMBER_OID = "2.5.29.20";
const INTEGER = 0x02;

/** OpenSSL, and so Mosquitto, knows a list by this label only. */
const LIST = /-----BEGIN X509 CRL-----[^-]+-----END X509 CRL-----/g;

/** The numbers of the lists in a PEM text, the highest of them; 0 if there is none. */
export function listNumberOf(pem: string): number {
  return Math.max(0, ...readLists(pem).map(numberOf));
}

/** True if a PEM text has one list of each authority, in their order, all with this number. */
export async function areListsOf(
  pem: string,
  authorities: readonly string[],
  { number, nowMs }: { readonly number: number; readonly nowMs: number },
): Promise<boolean> {
  const lists = readLists(pem);
  if (lists.length !== authorities.length) return false;
  for (const [i, list] of lists.entries()) {
    const { publicKey } = new x509.X509Certificate(authorities[i]!);
    const isItsOwn = await list.verify({ publicKey }).catch(() => false);
    // One whose time is over would refuse every device.
    const isOver = (list.nextUpdate?.getTime() ?? Infinity) <= nowMs;
    if (!isItsOwn || isOver || numberOf(list) !== number) return false;
  }
  return true;
}

/** True if a list in a PEM text names the serial. */
export function listsName(pem: string, serial: string): boolean {
  return readLists(pem).some((list) => list.findRevoked(serial) !== null);
}

/** The lists alone, whatever else is in the text. */
export function listsIn(pem: string): string {
  const lists = readLists(pem);
  return lists.map((one) => `${x509.PemConverter.encode(one.rawData, "X509 CRL")}\n`).join("");
}

function readLists(pem: string): x509.X509Crl[] {
  try {
    return (pem.match(LIST) ?? []).map((one) =>
      new x509.X509Crl(x509.PemConverter.decodeFirst(one))
    );
  } catch {
    return [];
  }
}

function numberOf(list: x509.X509Crl): number {
  const value = list.getExtension(CRL_NUMBER_OID)?.value;
  const [tag, length, ...digits] = value === undefined ? [] : new Uint8Array(value);
  if (tag !== INTEGER || length !== digits.length || length > 8) return 0;
  return digits.reduce((sum, digit) => sum * 256 + digit, 0);
}
