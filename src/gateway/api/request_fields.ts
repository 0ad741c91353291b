/**
 * The header fields of a request for a command, each total: whatever stands there becomes a value.
 *
 * The rules are:
 * - a field that changes what is done, TTL or Idempotency-Key, is read strictly;
 * - a preference that is not understood is none (RFC 7240 §2).
 */

/** Shortest TTL, seconds. */
const TTL_MIN_SECONDS = 5;

/** Most characters of an Idempotency-Key. */
const IDEMPOTENCY_KEY_MAX = 255;

/** A field's value; undefined if the field is not there. */
type Field<Value> =
  | { readonly ok: true; readonly value: Value | undefined }
  | { readonly ok: false; readonly detail: string };

/** The TTL, seconds. */
export function readTtl(headers: Headers, longestSeconds: number): Field<number> {
  const text = headers.get("ttl");
  if (text === null) return { ok: true, value: undefined };
  const value = /^[0-9]{1,10}$/.test(text) ? Number(text) : NaN;
  if (value >= TTL_MIN_SECONDS && value <= longestSeconds) return { ok: true, value };
  return {
    ok: false,
    detail: `Send TTL once, in whole seconds from ${TTL_MIN_SECONDS} to ${longestSeconds}`,
  };
}

/** The Idempotency-Key without its quotes: `"k1"` and `k1` are the same. */
export function readIdempotencyKey(headers: Headers): Field<string> {
  const text = headers.get("idempotency-key");
  if (text === null) return { ok: true, value: undefined };
  const value = text.startsWith('"') ? unquoted(text) : text;
  const isKey = value !== undefined && /^[\x21-\x7e]+$/.test(value);
  if (isKey && value.length <= IDEMPOTENCY_KEY_MAX) return { ok: true, value };
  return {
    ok: false,
    detail: `Send Idempotency-Key once, with 1 to ${IDEMPOTENCY_KEY_MAX} visible ASCII characters`,
  };
}

/** N of `Prefer: wait=N` (RFC 7240 §4.3), seconds; undefined if there is no such preference. */
export function readWait(headers: Headers): number | undefined {
  for (const preference of (headers.get("prefer") ?? "").split(",")) {
    const [, value] = /^[ \t]*wait[ \t]*=[ \t]*("?[0-9]{1,10}"?)[ \t]*(?:;|$)/i.exec(preference) ??
      [];
    if (value !== undefined) return Number(value.replaceAll('"', ""));
  }
  return undefined;
}

/** True if If-None-Match has the entity tag, by the weak comparison (RFC 9110 §13.1.2). */
export function hasEntityTag(headers: Headers, etag: string): boolean {
  const field = headers.get("if-none-match");
  if (field === null) return false;
  if (field.trim() === "*") return true;
  return [...field.matchAll(/(?:W\/)?("[\x21\x23-\x7e]*")/g)].some(([, tag]) => tag === etag);
}

/** The content of a quoted string (RFC 9110 §5.6.4); undefined if it is none. */
function unquoted(text: string): string | undefined {
  const content = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text)?.[1];
  return content?.replaceAll(/\\(["\\])/g, "$1");
}
