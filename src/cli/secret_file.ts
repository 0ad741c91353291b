/** A secret that is read from a file. */

import { faultText } from "../core/fault_text.ts";
import { readOperatorText } from "../config/operator_file.ts";
import { secretFault } from "../site/device_secret.ts";
import { CommandError, EXIT } from "./terminal.ts";

/** No secret is longer, whatever its characters are. */
const FILE_MAX_BYTES = 8192;

/** A secret from a file; line ends after it are not part of it. */
export function readSecret(path: string): string {
  let text: string;
  try {
    text = readOperatorText(path, FILE_MAX_BYTES);
  } catch (error) {
    throw new CommandError(`Cannot read the secret from "${path}": ${faultText(error)}`, {
      exit: EXIT.usage,
    });
  }
  const secret = text.replace(/[\r\n]+$/, "");
  const fault = secretFault(secret) ?? blankFault(secret);
  if (fault === undefined) return secret;
  throw new CommandError(`Cannot use the secret in "${path}": ${fault}`, { exit: EXIT.usage });
}

/** It is not seen, and the device hardly has it. */
function blankFault(secret: string): string | undefined {
  return secret === secret.trim() ? undefined : "it begins or ends with a blank: remove that";
}
