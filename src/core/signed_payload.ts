/** Which bytes of a message its signature covers, and under which secret. */

import type { Envelope } from "./envelope.ts";
import { type SecretKey, verify } from "./signature.ts";
import { type SignedKind, signingInput } from "./signing_input.ts";

/**
 * The payload bytes that the envelope's signature covers: the compact text, or, if that does not
 * verify, the text as sent; undefined if neither verifies, or there is no key.
 */
export async function signedPayloadOf(
  envelope: Envelope,
  key: SecretKey | undefined,
  kind: SignedKind = "message",
): Promise<Uint8Array | undefined> {
  if (key === undefined) return undefined;
  const { compactPayload, payload, signature } = envelope;
  if (await verify(key, signingInput(envelope, compactPayload, kind), signature)) {
    return compactPayload;
  }
  if (payload === compactPayload) return undefined;
  return await verify(key, signingInput(envelope, payload, kind), signature) ? payload : undefined;
}

/** The first secret under which the envelope's signature verifies, and what it covers. */
export async function firstSigner<Secret>(
  envelope: Envelope,
  secrets: readonly Secret[],
  keyOf: (secret: Secret) => Promise<SecretKey | undefined>,
  kind: SignedKind = "message",
): Promise<{ secret: Secret; payload: Uint8Array } | undefined> {
  for (const secret of secrets) {
    const payload = await signedPayloadOf(envelope, await keyOf(secret), kind);
    if (payload !== undefined) return { secret, payload };
  }
  return undefined;
}
