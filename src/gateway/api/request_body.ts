/** The body of a request, with a bound on its bytes and its time. */

import { readBoundedBody } from "../../http/bounded_body.ts";
import type { ProblemName } from "./problem.ts";

/** How much may come, and in which time. */
interface BodyLimits {
  readonly maxBytes: number;
  readonly timeoutMs: number;
}

/** True if the request says that its body is JSON. */
export function isJson({ headers }: Request): boolean {
  return /^application\/json[ \t]*(;|$)/i.test(headers.get("content-type") ?? "");
}

/** The whole body, or the name of the problem with it. */
export async function readBody(
  { body, headers }: Request,
  { maxBytes, timeoutMs }: BodyLimits,
): Promise<Uint8Array<ArrayBuffer> | ProblemName> {
  if (Number(headers.get("content-length")) > maxBytes) return "too-large";
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    const bytes = await readBoundedBody(body, { maxBytes, headers, stop: late.signal });
    return late.signal.aborted ? "timeout" : bytes ?? "too-large";
  } catch {
    // Unless it is late, the client went away in the middle: no one reads the answer.
    return late.signal.aborted ? "timeout" : "not-json";
  } finally {
    clearTimeout(timer);
  }
}
