/**
 * The files of the page, served from memory: nothing is read from the disk, so that a path in a request
 * reaches nothing else.
 */

import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { problem } from "../api/problem.ts";
import { hasEntityTag } from "../api/request_fields.ts";
import { ASSETS } from "./assets.ts";

/** Hex digits of an entity tag. */
const ETAG_DIGITS = 32;

/** A file in both forms. Each has a tag of its own, as RFC 9110 §8.8.3 wants it. */
interface MadeFile {
  readonly etag: string;
  readonly packed: Uint8Array<ArrayBuffer>;
  readonly packedEtag: string;
}

/** By name; made when they are first asked for. */
const madeFiles = new Map<string, MadeFile>();

/** Answers with a file; a browser asks each time if it has changed, and keeps it. */
export function pageFile(name: string, { headers: asked }: Request): Response {
  if (!Object.hasOwn(ASSETS, name)) return problem("not-found");
  const [text, type] = ASSETS[name]!;
  const made = madeFileOf(name, text);
  const isPacked = takesGzip(asked);
  const etag = isPacked ? made.packedEtag : made.etag;
  const headers = { etag, "cache-control": "no-cache", "vary": "accept-encoding" };
  if (hasEntityTag(asked, etag)) return new Response(null, { status: 304, headers });
  if (!isPacked) return new Response(text, { headers: { ...headers, "content-type": type } });
  return new Response(made.packed, {
    headers: { ...headers, "content-type": type, "content-encoding": "gzip" },
  });
}

/** RFC 9110 §12.5.3; a client that refuses it says so with a weight of nothing. */
function takesGzip(headers: Headers): boolean {
  const field = headers.get("accept-encoding") ?? "";
  return field.split(",").some((one) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$)|$)/i.test(one));
}

function madeFileOf(name: string, text: string): MadeFile {
  const known = madeFiles.get(name);
  if (known !== undefined) return known;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, ETAG_DIGITS);
  const packed = new Uint8Array(gzipSync(text));
  const made = { etag: `"${hash}"`, packed, packedEtag: `"${hash}-gzip"` };
  madeFiles.set(name, made);
  return made;
}
