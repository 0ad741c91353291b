/** `GET /ui/api/expiries`: what ends, soonest first. */

import type { ApiKey } from "../../store/api_keys.ts";
import { pageOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";

/** A certificate or a list that ends; `expires` is Unix seconds. */
export interface Expiry {
  readonly kind: "file" | "device";
  /** A path, or a device id. */
  readonly what: string;
  readonly expires: number;
}

/** What ends first; undefined: nothing that the key may see. */
export async function nextExpiry(
  sources: Pick<PageSources, "keys" | "fileEnds">,
  key: ApiKey,
): Promise<Expiry | undefined> {
  let next: Expiry | undefined;
  for (const one of await expiriesFor(sources, key)) {
    if (next === undefined || inOrder(one, next) < 0) next = one;
  }
  return next;
}

/** A page of them. */
export async function expiryPage(query: PageQuery, sources: PageSources, key: ApiKey) {
  const limit = query.limit;
  const cursor = query.cursor("number", "text", "text");
  const sorted = (await expiriesFor(sources, key)).sort(inOrder);
  const { page: expiries, next } = pageOf(sorted, { limit, cursor, placeOf, compare });
  return { expiries, next };
}

/** Everything that ends and that a key may see: for some devices it sees theirs only. */
async function expiriesFor(
  { keys, fileEnds }: Pick<PageSources, "keys" | "fileEnds">,
  { deviceIds }: ApiKey,
): Promise<Expiry[]> {
  await keys.refresh();
  const seen = deviceIds && new Set(deviceIds);
  const all: Expiry[] = [];
  if (seen === undefined) {
    for (const [what, expires] of fileEnds) all.push({ kind: "file", what, expires });
  }
  for (const { device: { deviceId: what, notAfter, revokedAt } } of keys.known()) {
    if (notAfter === undefined || revokedAt !== undefined || seen?.has(what) === false) continue;
    all.push({ kind: "device", what, expires: notAfter });
  }
  return all;
}

type Place = readonly [expires: number, kind: string, what: string];

function placeOf({ expires, kind, what }: Expiry): Place {
  return [expires, kind, what];
}

function inOrder(one: Expiry, other: Expiry): number {
  return compare(placeOf(one), placeOf(other));
}

function compare(one: Place, other: Place): number {
  for (const [i, value] of one.entries()) {
    if (value !== other[i]) return value < other[i]! ? -1 : 1;
  }
  return 0;
}
