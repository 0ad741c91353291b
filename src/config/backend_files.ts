/**
 * What the gateway tells the backend of itself, as files that only their owner may read: header
 * fields such as a token, and keys that sign each reading. Faults never show a value.
 */

/** A header field. */
export type HeaderField = readonly [name: string, value: string];

/** What was read, or every fault, each with its line. */
type FileResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly faults: readonly string[] };

const FIELDS_MAX = 50;
const VALUE_MAX_CHARS = 8_192;

/** RFC 9110 §5.6.2: a token. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

/** Fields that the gateway or its HTTP client sets. */
const RESERVED =
  /^(?:host|connection|keep-alive|te|trailer|upgrade|expect|accept-encoding|idempotency-key|traceparent|(?:content|transfer|webhook|x-device|x-gateway)-.*)$/i;

/** Bytes of a signing key, as Standard Webhooks allows them. */
const KEY_MIN_BYTES = 24;
const KEY_MAX_BYTES = 64;
const KEY_PREFIX = "whsec_";

/** Reads lines `Name: value`; empty lines and those that begin with `#` are skipped. */
export function readHeaderFields(text: string): FileResult<readonly HeaderField[]> {
  const fields: HeaderField[] = [];
  const faults: string[] = [];
  for (const { line, content } of linesOf(text)) {
    const field = fieldOf(content);
    if (typeof field === "string") faults.push(`line ${line}: ${field}`);
    else if (fields.some(([name]) => name.toLowerCase() === field[0].toLowerCase())) {
      faults.push(`line ${line}: ${field[0]} is there twice`);
    } else fields.push(field);
  }
  if (fields.length > FIELDS_MAX) faults.push(`there are more than ${FIELDS_MAX} fields`);
  return faults.length === 0 ? { ok: true, value: fields } : { ok: false, faults };
}

/** Reads one or two lines `whsec_{base64}`; the bytes of each key. */
export function readSigningKeys(text: string): FileResult<readonly Uint8Array[]> {
  const lines = linesOf(text);
  const keys = lines.map(({ content }) => keyOf(content));
  const faults = lines.filter((_, i) => keys[i] === undefined).map(({ line }) =>
    `line ${line}: is no key: ${KEY_PREFIX} and base64 of ${KEY_MIN_BYTES} to ${KEY_MAX_BYTES} bytes`
  );
  if (lines.length < 1 || lines.length > 2) faults.push("it must have one key, or two");
  if (faults.length > 0) return { ok: false, faults };
  return { ok: true, value: keys.filter((key) => key !== undefined) };
}

function linesOf(text: string): { line: number; content: string }[] {
  return text.split(/\r\n|\n|\r/).map((content, i) => ({ line: i + 1, content: content.trim() }))
    .filter(({ content }) => content !== "" && !content.startsWith("#"));
}

/** The field, or what is wrong with it. */
function fieldOf(content: string): HeaderField | string {
  const at = content.indexOf(":");
  const name = content.slice(0, at).trim();
  const value = content.slice(at + 1).trim();
  if (at < 1 || !NAME.test(name)) return "must be Name: value";
  if (RESERVED.test(name)) return `${name} is set by the gateway, it cannot be here`;
  if (!/^[\x20-\x7e\t]{1,}$/.test(value) || value.length > VALUE_MAX_CHARS) {
    return `the value of ${name} must be 1 to ${VALUE_MAX_CHARS} printable ASCII characters`;
  }
  return [name, value];
}

function keyOf(content: string): Uint8Array | undefined {
  if (!content.startsWith(KEY_PREFIX)) return undefined;
  try {
    const key = Uint8Array.fromBase64(content.slice(KEY_PREFIX.length));
    return key.length >= KEY_MIN_BYTES && key.length <= KEY_MAX_BYTES ? key : undefined;
  } catch {
    return undefined;
  }
}
