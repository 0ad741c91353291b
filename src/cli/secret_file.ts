/** A secret that is read from a file. */

import { secretFault } from "../site/device_secret.ts";
import { CommandError, EXIT } from "./terminal.ts";

/** A secret from a file; one newline at its end is not part of it. */
export function readSecret(path: string): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(Deno.readFileSync(path));
  } catch (error) {
    const reason = error instanceof TypeError ? "it is not UTF-8" : (error as Error).message;
    throw new CommandError(`Cannot read the secret from "${path}": ${reason}`, {
      exit: EXIT.wrongUse,
    });
  }
  const secret = text.replace(/\r?\n$/, "");
  const fault = secretFault(secret);
  if (fault === undefined) return secret;
  throw new CommandError(`Cannot use the secret in "${path}": ${fault}`, { exit: EXIT.wrongUse });
}
