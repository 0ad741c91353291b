/** Which bytes of a message its signature covers, and under which secret. */

import type { Envelope } from "./envelope.ts";
import { type SecretKey, verify } from "./signature.ts";
import { type SignedKind, signingInput } from "./signing_input.ts";

/**
 * The payload bytes that the envelope's signature covers: the compact text, or, if that does not
 * verify, the text as sent; undefined if neither verifies, or there is no key.
 */
export function signedPayloadOf(
  envelope: Envelope,
  key: SecretKey | undefined,
  kind: SignedKind = "message",
): Uint8Array | undefined {
  if (key === undefined) return undefined;
  const { compactPayload, payload, signature } = envelope;
  if (verify(key, signingInput(envelope, compactPayload, kind), signature)) {
    return compactPayload;
  }
  if (payload === compactPayload) return undefined;
  return verify(key, signingInput(envelope, payload, kind), signature) ? payload : undefined;
}

/** The first secret under which the envelope's signature verifies, and what it covers. */
export function firstSigner<Secret>(
  envelope: Envelope,
  secrets: readonly Secret[],
  keyOf: (secret: Secret) => SecretKey | undefined,
  kind: SignedKind = "message",
): { secret: Secret; payload: Uint8Array } | undefined {
  for (const secret of secrets) {
    const payload = signedPayloadOf(envelope, keyOf(secret), kind);
    if (payload !== undefined) return { secret, payload };
  }
  return undefined;
}
