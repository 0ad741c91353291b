/** What an error says. */

import { tlsFault } from "./tls_fault.ts";

/**
 * Why something failed: the message of the innermost cause, which has the operating system's words
 * where the outermost says "fetch failed"; a fault of TLS is said in plain words, and a file is left
 * to the one who says what it is for.
 */
export function faultText(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  const text = reason instanceof Error ? reason.message : String(reason);
  return tlsFault(text) ?? text.replace(/[,:] \w+ '[^']*'$/, "");
}
