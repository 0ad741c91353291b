/** Reads the one field of a revocation list that a gateway needs, `nextUpdate` (RFC 5280 §5.1). */

const SEQUENCE = 0x30;
const INTEGER = 0x02;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;

interface Element {
  readonly tag: number;
  readonly content: Uint8Array;
  /** The bytes after it. */
  readonly rest: Uint8Array;
}

/** When a newer list is due, Unix seconds; undefined if `der` is not a list or does not say. */
export function nextUpdateOf(der: Uint8Array): number | undefined {
  const list = read(der);
  const signed = list?.tag === SEQUENCE ? read(list.content) : undefined;
  let next = signed?.tag === SEQUENCE ? read(signed.content) : undefined;
  if (next?.tag === INTEGER) next = read(next.rest); // the version
  for (let skipped = 0; next && skipped < 3; skipped++) next = read(next.rest);
  return next && timeOf(next); // after algorithm, issuer and thisUpdate
}

function read(bytes: Uint8Array): Element | undefined {
  const [tag, first] = bytes;
  if (tag === undefined || first === undefined) return undefined;
  const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
  let length = first;
  if (lengthBytes > 0) {
    length = bytes.subarray(2, 2 + lengthBytes).reduce((sum, byte) => sum * 256 + byte, 0);
  }
  const start = 2 + lengthBytes;
  const end = start + length;
  if (end > bytes.length) return undefined;
  return { tag, content: bytes.subarray(start, end), rest: bytes.subarray(end) };
}

/** RFC 5280 §4.1.2.5: always with seconds, always UTC; two-digit years below 50 are after 2000. */
function timeOf({ tag, content }: Element): number | undefined {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) return undefined;
  const text = String.fromCharCode(...content);
  const century = Number(text.slice(0, 2)) < 50 ? "20" : "19";
  const full = tag === UTC_TIME ? century + text : text;
  const parts = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/.exec(full)?.slice(1).map(Number);
  if (!parts) return undefined;
  const [year, month, day, hour, minute, second] = parts as [
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
}
