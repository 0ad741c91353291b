/**
 * The files of the page, served from memory: nothing is read from the disk, so that a path in a request
 * reaches nothing else.
 */

import { createHash } from "node:crypto";
import { problem } from "../api/problem.ts";
import { hasEntityTag } from "../api/request_fields.ts";
import { ASSETS } from "./assets.ts";

/** Hex digits of an entity tag. */
const ETAG_DIGITS = 32;

/** By name; made when they are first asked for. */
const entityTags = new Map<string, string>();

/** Answers with a file; a browser asks each time if it has changed, and keeps it. */
export function pageFile(name: string, { headers: asked }: Request): Response {
  if (!Object.hasOwn(ASSETS, name)) return problem("not-found");
  const [text, type] = ASSETS[name]!;
  const etag = entityTagOf(name, text);
  const headers = { etag, "cache-control": "no-cache" };
  if (hasEntityTag(asked, etag)) return new Response(null, { status: 304, headers });
  return new Response(text, { headers: { ...headers, "content-type": type } });
}

function entityTagOf(name: string, text: string): string {
  const known = entityTags.get(name);
  if (known !== undefined) return known;
  const hash = createHash("sha256").update(text).digest("hex");
  const etag = `"${hash.slice(0, ETAG_DIGITS)}"`;
  entityTags.set(name, etag);
  return etag;
}
