/**
 * The backend's answer to a batch, from bytes to what it says of each item.
 *
 * The rules are:
 * - an empty one, or an object without `items`, says nothing of any item: all are delivered;
 * - each item names a message of the batch, once, and its status; more fields do not matter;
 * - a `body` is cut out of the answer, never parsed and written again;
 * - whatever is not as agreed makes the whole answer void, and is named with its position: text
 *   from outside is never quoted.
 */

import { FAULT, isUtf8, JsonScanner } from "./json_scanner.ts";

/** Largest body of an item that is brought to a device, in bytes; a larger one is left out. */
const ITEM_BODY_MAX_BYTES = 65_536;

/** Deepest nesting inside an answer. */
const ANSWER_DEPTH_MAX = 128;

/** Longest name or message id that is looked at, with every character escaped. */
const STRING_MAX_BYTES = 256;

/** There are a few strings in each item: one decoder for all of them. */
const TEXT = new TextDecoder();

/** What the backend says of one reading. */
interface BatchItem {
  readonly status: number;
  /** Empty if there is none; undefined if it is too large. */
  readonly body: Uint8Array | undefined;
}

/** An answer that was read. */
type BatchAnswer =
  | { readonly kind: "none" }
  /** By message id in lower case. */
  | { readonly kind: "items"; readonly items: ReadonlyMap<string, BatchItem> }
  | { readonly kind: "fault"; readonly reason: string };

type Span = readonly [start: number, end: number];
type Spans = Readonly<Record<string, Span>>;

/** Reads the answer to a batch of these messages (in lower case); total. */
export function readBatchAnswer(bytes: Uint8Array, ids: ReadonlySet<string>): BatchAnswer {
  const scanner = new JsonScanner(bytes, ANSWER_DEPTH_MAX);
  const start = scanner.space(0);
  if (start === bytes.length) return { kind: "none" };
  const spans: Record<string, Span> = {};
  let end = scanObject(scanner, start, { names: ["items"], spans });
  if (end !== FAULT) end = scanEnd(scanner, end);
  if (end === FAULT) return faultOf(scanner);
  if (scanner.nonAscii && !isUtf8(bytes)) return { kind: "fault", reason: "not UTF-8" };
  const { items: span } = spans;
  if (span === undefined) return { kind: "none" };
  const items = new Map<string, BatchItem>();
  return scanItems(scanner, span[0], { ids, items }) === FAULT
    ? faultOf(scanner)
    : { kind: "items", items };
}

function faultOf({ fault }: JsonScanner): BatchAnswer {
  return { kind: "fault", reason: `${fault!.what}, at byte ${fault!.at}` };
}

function scanEnd(scanner: JsonScanner, at: number): number {
  const end = scanner.space(at);
  return end === scanner.bytes.length ? end : scanner.fail("text after the object", end);
}

/** Scans an object, and puts the spans of the members with these names into `spans`. */
function scanObject(
  scanner: JsonScanner,
  start: number,
  { names, spans }: { readonly names: readonly string[]; readonly spans: Record<string, Span> },
): number {
  const { bytes } = scanner;
  if (bytes[start] !== 0x7b) return scanner.fail("not a JSON object", start);
  let at = scanner.space(start + 1);
  if (bytes[at] === 0x7d) return at + 1;
  while (true) {
    const nameEnd = scanner.string(at);
    if (nameEnd === FAULT) return FAULT;
    const name = stringOf(bytes, [at, nameEnd]);
    const colon = scanner.space(nameEnd);
    if (bytes[colon] !== 0x3a) return scanner.unexpected(colon);
    const valueAt = scanner.space(colon + 1);
    const end = scanner.value(valueAt);
    if (end === FAULT) return FAULT;
    if (name !== undefined && names.includes(name)) {
      if (Object.hasOwn(spans, name)) return scanner.fail(`"${name}" appears twice`, at);
      spans[name] = [valueAt, end];
    }
    at = scanner.space(end);
    if (bytes[at] === 0x7d) return at + 1;
    if (bytes[at] !== 0x2c) return scanner.unexpected(at);
    at = scanner.space(at + 1);
  }
}

/** What the items are read into. */
interface Found {
  readonly ids: ReadonlySet<string>;
  readonly items: Map<string, BatchItem>;
}

/** Scans the array of items, which is known to be JSON. */
function scanItems(scanner: JsonScanner, start: number, found: Found): number {
  const { bytes } = scanner;
  if (bytes[start] !== 0x5b) return scanner.fail('"items" is not an array', start);
  let at = scanner.space(start + 1);
  while (bytes[at] !== 0x5d) {
    at = scanItem(scanner, at, found);
    if (at === FAULT) return FAULT;
    at = scanner.space(at);
    if (bytes[at] === 0x2c) at = scanner.space(at + 1);
  }
  return at + 1;
}

function scanItem(scanner: JsonScanner, start: number, { ids, items }: Found): number {
  const { bytes } = scanner;
  if (bytes[start] !== 0x7b) return scanner.fail("an item is not an object", start);
  const spans: Record<string, Span> = {};
  const end = scanObject(scanner, start, { names: ["message_id", "status", "body"], spans });
  if (end === FAULT) return FAULT;
  const { message_id: idSpan, status: statusSpan }: Spans = spans;
  if (idSpan === undefined) return scanner.fail('an item without "message_id"', start);
  if (statusSpan === undefined) return scanner.fail('an item without "status"', start);
  const id = stringOf(bytes, idSpan)?.toLowerCase();
  if (id === undefined || !ids.has(id)) {
    return scanner.fail('a "message_id" that is not in the batch', idSpan[0]);
  }
  if (items.has(id)) return scanner.fail("a message that is in two items", idSpan[0]);
  const status = statusOf(bytes, statusSpan);
  if (status === undefined) {
    return scanner.fail('a "status" that is not a number from 200 to 999', statusSpan[0]);
  }
  items.set(id, { status, body: bodyOf(bytes, spans["body"]) });
  return end;
}

/** A copy, so that one small body does not keep the whole answer in memory. */
function bodyOf(bytes: Uint8Array, span: Span | undefined): Uint8Array | undefined {
  if (span === undefined) return new Uint8Array();
  const [start, end] = span;
  return end - start > ITEM_BODY_MAX_BYTES ? undefined : bytes.slice(start, end);
}

/** An interim status (1xx) answers nothing. */
function statusOf(bytes: Uint8Array, [start, end]: Span): number | undefined {
  if (end - start !== 3) return undefined;
  const text = TEXT.decode(bytes.subarray(start, end));
  return /^[2-9][0-9]{2}$/.test(text) ? Number(text) : undefined;
}

/** The value of a scanned string; undefined if it is none, or is too long to be one of ours. */
function stringOf(bytes: Uint8Array, [start, end]: Span): string | undefined {
  if (bytes[start] !== 0x22 || end - start > STRING_MAX_BYTES) return undefined;
  return JSON.parse(TEXT.decode(bytes.subarray(start, end)));
}
