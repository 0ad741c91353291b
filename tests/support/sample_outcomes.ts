/** What a backend says. */

import type { Answer, Outcome } from "../../src/core/delivery.ts";

/** The backend takes it. */
export const OK: Answer = {
  kind: "answer",
  status: 200,
  body: new Uint8Array(),
  retryAfter: null,
  location: null,
  contentType: null,
};
/** It is not there. */
export const REFUSED: Outcome = { kind: "no_answer", reason: "connection refused" };

/** It answers with a status. */
export function status(status: number): Answer {
  return { ...OK, status };
}
