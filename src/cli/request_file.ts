/** Files that an option or a list names, a certificate request among them. */

import { faultText } from "../core/fault_text.ts";
import { readOperatorFile } from "../config/operator_file.ts";
import { type PublicKey, readCertificateRequest } from "../site/pki/certificate_request.ts";
import { CommandError, EXIT } from "./terminal.ts";

const REQUEST_MAX_BYTES = 65_536;

/** The public key of a certificate request. */
export async function readRequest(path: string): Promise<PublicKey> {
  const read = await readCertificateRequest(
    readFile(path, (path) => readOperatorFile(path, REQUEST_MAX_BYTES)),
  );
  if (read.ok) return read.publicKey;
  throw new CommandError(`Cannot use the certificate request "${path}": ${read.fault}`);
}

/** What `read` makes of a file, or a failure that names the file. */
export function readFile<T>(path: string, read: (path: string) => T): T {
  try {
    return read(path);
  } catch (error) {
    throw new CommandError(`Cannot read "${path}": ${faultText(error)}`, {
      exit: EXIT.usage,
    });
  }
}
