/** `GET /ui/api/rejections`: what was refused in the last day, by device and code. */

import { REJECTION_CODES } from "../../core/rejection.ts";
import { DAY_SECONDS, secondsOf } from "../../core/time.ts";
import type { ApiKey } from "../../store/api_keys.ts";
import type { RejectionCount } from "../../store/audit.ts";
import type { DeviceTable } from "./device_table.ts";
import { pageOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";

/** A page of them, most first, and how many there are of each code. */
export async function rejectionPage(
  query: PageQuery,
  { sources, table }: { readonly sources: PageSources; readonly table: DeviceTable },
  { deviceIds }: ApiKey,
) {
  const limit = query.limit;
  const device = query.text("device");
  const code = query.word("code", REJECTION_CODES);
  const cursor = query.cursor("number", "text", "text");
  const seen = deviceIds && new Set(deviceIds);
  const selected = (await table.rejections()).filter((one) =>
    seen?.has(one.identity) !== false && (device ?? one.identity) === one.identity &&
    (code ?? one.code) === one.code
  );
  const { page, next } = pageOf(selected, { limit, cursor, placeOf, compare });
  return {
    since: secondsOf(sources.clock.wallMs()) - DAY_SECONDS,
    rejections: page.map(({ identity, ...counts }) => ({ device_id: identity, ...counts })),
    codes: totals(selected),
    next,
  };
}

function totals(counts: readonly RejectionCount[]): Readonly<Record<string, number>> {
  const byCode = new Map<string, number>();
  for (const { code, count } of counts) byCode.set(code, (byCode.get(code) ?? 0) + count);
  return Object.fromEntries(byCode);
}

type Place = readonly [count: number, identity: string, code: string];

function placeOf({ count, identity, code }: RejectionCount): Place {
  return [count, identity, code];
}

/** In the order of the store: most first. */
function compare([count, ...names]: Place, [otherCount, ...otherNames]: Place): number {
  if (count !== otherCount) return otherCount - count;
  for (const [i, name] of names.entries()) {
    if (name !== otherNames[i]) return name < otherNames[i]! ? -1 : 1;
  }
  return 0;
}
