/**
 * The devices as a table: filtered, sorted, page by page.
 *
 * The rules are:
 * - it is made from what is in memory, once for all who look within a second, so that ten thousand
 *   devices hold nothing up;
 * - a page begins behind the row where the one before ended, whatever has changed since;
 * - a device is never said to be online: when a message of it was last verified is all that is known.
 */

import { WARN_DAYS } from "../../config/expiry.ts";
import type { DeviceStatus } from "../../core/device.ts";
import { DAY_SECONDS, secondsOf } from "../../core/time.ts";
import { type ApiKey, reaches } from "../../store/api_keys.ts";
import type { RejectionCount } from "../../store/audit.ts";
import { statusOf } from "../../store/device_record.ts";
import type { KnownDevice } from "../../store/device_keys.ts";
import { Kept } from "./kept.ts";
import { pageOf, type PageQuery } from "./page_query.ts";
import type { PageSources } from "./page_sources.ts";

/** How old rows may be, and what is read from the store for them. */
const ROWS_MS = 1_000;
const STORE_MS = 5_000;

/** How long a device is silent that is shown as silent, unless it is said. */
const SILENT_SECONDS = 3_600;
const SILENT_MAX_SECONDS = 366 * DAY_SECONDS;

const FILTERS = ["silent", "backlog", "rejected", "expiring", "revoked"] as const;
const ORDERS = ["asc", "desc"] as const;

/** A row, as the API writes it; times are Unix seconds. */
interface DeviceRow {
  readonly device_id: string;
  readonly status: DeviceStatus;
  readonly last_message: number | null;
  readonly waiting: number;
  readonly stuck: boolean;
  readonly rejected: number;
  readonly last_rejection: { readonly at: number; readonly code: string } | null;
  readonly expires: number | null;
}

/** What rows are sorted by; null is last, whichever way. */
const SORTS: Readonly<Record<string, (row: DeviceRow) => number | string | null>> = {
  id: ({ device_id }) => device_id,
  last_message: ({ last_message }) => last_message,
  waiting: ({ waiting }) => waiting,
  rejected: ({ rejected }) => rejected,
  expires: ({ expires }) => expires,
};

/** The parameters of the table. */
export const DEVICE_PARAMETERS = [
  ...["filter", "silent_after", "q", "sort", "order", "limit", "cursor"],
] as const;

/** The table. */
export class DeviceTable {
  readonly #sources: PageSources;
  readonly #rows: Kept<readonly DeviceRow[]>;
  readonly #rejections: Kept<readonly RejectionCount[]>;
  readonly #usesElsewhere: Kept<ReadonlyMap<string, number>>;

  constructor(sources: PageSources) {
    const { clock } = sources;
    this.#sources = sources;
    this.#rows = new Kept(() => this.#makeRows(), ROWS_MS, clock);
    this.#rejections = new Kept(() => this.#readRejections(), STORE_MS, clock);
    this.#usesElsewhere = new Kept(() => this.#readUses(), STORE_MS, clock);
  }

  /** What was rejected in the last day, most first. */
  rejections(): Promise<readonly RejectionCount[]> {
    return this.#rejections.get();
  }

  /** The row of a device; undefined if it is not registered. */
  async row(deviceId: string): Promise<DeviceRow | undefined> {
    return (await this.#rows.get()).find((row) => row.device_id === deviceId);
  }

  /** Those that a key may see. */
  async rowsFor(key: ApiKey): Promise<readonly DeviceRow[]> {
    const rows = await this.#rows.get();
    if (key.deviceIds === undefined) return rows;
    const ids = new Set(key.deviceIds);
    return rows.filter(({ device_id }) => ids.has(device_id));
  }

  /** A page of them. */
  async page(query: PageQuery, key: ApiKey) {
    const nowSeconds = secondsOf(this.#sources.clock.wallMs());
    const limit = query.limit;
    const order = query.word("order", ORDERS) ?? "asc";
    const sort = SORTS[query.word("sort", Object.keys(SORTS)) ?? "id"]!;
    const compare = comparison(order);
    const cursor = query.cursor("any", "text");
    const matches = filterOf(query, nowSeconds);
    const placeOf = (row: DeviceRow): Place => [sort(row), row.device_id];
    const matching = (await this.rowsFor(key)).filter(matches)
      .toSorted((one, other) => compare(placeOf(one), placeOf(other)));
    const { page: devices, next } = pageOf(matching, { limit, cursor, placeOf, compare });
    return { devices, next, total: matching.length, as_of: nowSeconds };
  }

  async #makeRows(): Promise<readonly DeviceRow[]> {
    const { keys, forwarder, clock, store } = this.#sources;
    await keys.refresh();
    const rejections = byDevice(await this.#rejections.get());
    const elsewhere = store.nodes === undefined ? undefined : await this.#usesElsewhere.get();
    const lanes = new Map([...forwarder.laneStates()].map((lane) => [lane.deviceId, lane]));
    const nowSeconds = secondsOf(clock.wallMs());
    const rows: DeviceRow[] = [];
    for (const known of keys.known()) {
      const { deviceId, notAfter } = known.device;
      const lane = lanes.get(deviceId);
      const { count = 0, last = null } = rejections.get(deviceId) ?? {};
      rows.push({
        device_id: deviceId,
        status: statusOf(known.device, nowSeconds),
        last_message: lastUseOf(known, elsewhere?.get(deviceId)),
        waiting: lane?.waiting ?? 0,
        stuck: lane?.stuck ?? false,
        rejected: count,
        last_rejection: last,
        expires: notAfter ?? null,
      });
    }
    return rows;
  }

  async #readRejections(): Promise<readonly RejectionCount[]> {
    const { store, clock } = this.#sources;
    return await store.audit.rejections(secondsOf(clock.wallMs()) - DAY_SECONDS);
  }

  /** When a device was last heard at any gateway: this one knows only what it has heard itself. */
  async #readUses(): Promise<ReadonlyMap<string, number>> {
    const uses = new Map<string, number>();
    for (const { deviceId, lastUsed } of await this.#sources.store.registry.secretUses()) {
      uses.set(deviceId, Math.max(lastUsed, uses.get(deviceId) ?? 0));
    }
    return uses;
  }
}

/** True if a key is for the device, and it is known: others learn nothing of the difference. */
export function sees(key: ApiKey, deviceId: string, { keys }: Pick<PageSources, "keys">): boolean {
  return reaches(key, deviceId) && keys.find(deviceId) !== undefined;
}

function lastUseOf({ uses }: KnownDevice, elsewhere = 0): number | null {
  const last = uses.reduce((newest, { lastUsed = 0 }) => Math.max(newest, lastUsed), elsewhere);
  return last === 0 ? null : last;
}

function byDevice(counts: readonly RejectionCount[]) {
  const devices = new Map<string, { count: number; last: { at: number; code: string } }>();
  for (const { identity, code, count, last } of counts) {
    const known = devices.get(identity);
    if (known === undefined) devices.set(identity, { count, last: { at: last, code } });
    else {
      known.count += count;
      if (last > known.last.at) known.last = { at: last, code };
    }
  }
  return devices;
}

function filterOf(query: PageQuery, nowSeconds: number): (row: DeviceRow) => boolean {
  const filter = query.word("filter", FILTERS);
  const silentAfter = query.number("silent_after", { min: 1, max: SILENT_MAX_SECONDS }) ??
    SILENT_SECONDS;
  const part = query.text("q")?.toLowerCase();
  return (row) =>
    (part === undefined || row.device_id.toLowerCase().includes(part)) &&
    passes(row, filter, { nowSeconds, silentAfter });
}

function passes(
  row: DeviceRow,
  filter: typeof FILTERS[number] | undefined,
  { nowSeconds, silentAfter }: { readonly nowSeconds: number; readonly silentAfter: number },
): boolean {
  switch (filter) {
    case undefined:
      return true;
    case "silent":
      return row.status !== "revoked" && (row.last_message ?? 0) <= nowSeconds - silentAfter;
    case "backlog":
      return row.waiting > 0;
    case "rejected":
      return row.rejected > 0;
    case "expiring":
      return row.status !== "revoked" && row.expires !== null &&
        row.expires < nowSeconds + WARN_DAYS * DAY_SECONDS;
    case "revoked":
      return row.status === "revoked";
    default:
      return filter satisfies never;
  }
}

type Place = readonly [value: number | string | null, deviceId: string];

/** Rows with the same value are in the order of their ids. */
function comparison(order: typeof ORDERS[number]): (one: Place, other: Place) => number {
  const sign = order === "asc" ? 1 : -1;
  return ([value, id], [otherValue, otherId]) => {
    if (value === otherValue) return id < otherId ? -1 : id === otherId ? 0 : 1;
    if (value === null || otherValue === null) return value === null ? 1 : -1;
    return value < otherValue ? -sign : sign;
  };
}
