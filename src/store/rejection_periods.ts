/**
 * Rejections in the audit, so that no flood of them fills the disk or slows the intake.
 *
 * The rules are:
 * - the first of a device with a code is an entry of its own, in the commit of its batch;
 * - those after it are counted, and are one entry when their period ends: a minute, twice as long
 *   each time while it goes on, up to a quarter of an hour; a period without any ends it;
 * - counts are saved with the store's tidying, so that a kill costs those of half a second at most;
 * - what is remembered is bounded: beyond that many devices and codes, the rest count together.
 */

import type { AuditNote } from "../core/audit_note.ts";
import type { Committed } from "../core/ports.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { secondsOf } from "../core/time.ts";

/** What one commit changes in the periods, to be applied once it is on the disk. */
export type PeriodChanges = ReadonlyMap<string, Period | undefined>;

/** A period as a store keeps it. */
export interface SavedPeriod {
  readonly identity: string;
  readonly code: string;
  /** Unix seconds. */
  readonly since: number;
  readonly seconds: number;
  readonly count: number;
}

/** Where periods and entries are written; each call belongs inside a transaction. */
interface RejectionTable {
  note(note: AuditNote): void;
  save(period: SavedPeriod): void;
  end(period: Pick<SavedPeriod, "identity" | "code">): void;
}

/** Rejections of one device with one code that are counted and not entered yet. */
interface Period extends SavedPeriod {
  count: number;
  /** What of the count is on the disk. */
  readonly saved: number;
}

const PERIOD_FIRST_SECONDS = 60;
const PERIOD_LONGEST_SECONDS = 960;

/** Most periods at one time. */
const PERIODS_MAX = 10_000;

/** Longest identity that is entered, in characters; a CN may be longer than any device id. */
const IDENTITY_MAX_CHARS = 80;

/** Stands for all devices that are beyond the bound; no device can have it for an id. */
const OTHERS = "*";

/** The periods, in memory as they are on the disk. */
export class RejectionPeriods {
  readonly #table: RejectionTable;
  readonly #periods = new Map<string, Period>();

  constructor(table: RejectionTable, saved: readonly SavedPeriod[]) {
    this.#table = table;
    for (const period of saved) {
      this.#periods.set(keyOf(period), { ...period, saved: period.count });
    }
  }

  /** Writes what is new, and with `tidies` what is due; belongs inside a transaction. */
  write(
    committed: Iterable<Committed>,
    { tidies, wallMs }: { readonly tidies: boolean; readonly wallMs: number },
  ): PeriodChanges {
    const at = secondsOf(wallMs);
    const changes = new Map<string, Period | undefined>();
    for (const one of committed) {
      if (one.kind !== "rejected") continue;
      this.#count({ identity: one.identity, code: one.rejection.code }, at, changes);
    }
    if (!tidies) return changes;
    for (const [key, period] of this.#periods) this.#tidy(changes.get(key) ?? period, at, changes);
    return changes;
  }

  /** The commit is on the disk. */
  apply(changes: PeriodChanges): void {
    for (const [key, period] of changes) {
      if (period) this.#periods.set(key, period);
      else this.#periods.delete(key);
    }
  }

  #count(
    one: { identity: string; code: RejectionCode },
    at: number,
    changes: Map<string, Period | undefined>,
  ): void {
    const { code } = one;
    const identity = one.identity.slice(0, IDENTITY_MAX_CHARS);
    const known = this.#stage({ identity, code }, changes);
    if (known) return void known.count++;
    const full = this.#periods.size + changes.size >= PERIODS_MAX;
    if (full && identity !== OTHERS) return this.#count({ identity: OTHERS, code }, at, changes);
    const fresh = { identity, code, since: at, seconds: PERIOD_FIRST_SECONDS, count: 0, saved: 0 };
    this.#write(fresh, at, 1);
    this.#persist(fresh);
    changes.set(keyOf(fresh), fresh);
  }

  /** A copy that may be changed: what a commit does not keep has never been. */
  #stage(
    one: { identity: string; code: string },
    changes: Map<string, Period | undefined>,
  ): Period | undefined {
    const key = keyOf(one);
    const period = changes.get(key) ?? this.#periods.get(key);
    if (period === undefined || changes.has(key)) return period;
    const copy = { ...period };
    changes.set(key, copy);
    return copy;
  }

  #tidy(period: Period, at: number, changes: Map<string, Period | undefined>): void {
    const { identity, code, since, seconds, count, saved } = period;
    const key = keyOf(period);
    if (at >= since && at < since + seconds) {
      if (count !== saved) changes.set(key, this.#persist(period));
    } else if (count > 0) {
      this.#write(period, at, count);
      const longer = Math.min(2 * seconds, PERIOD_LONGEST_SECONDS);
      changes.set(key, this.#persist({ ...period, since: at, seconds: longer, count: 0 }));
    } else {
      this.#table.end({ identity, code });
      changes.set(key, undefined);
    }
  }

  #persist(period: Period): Period {
    this.#table.save(period);
    return { ...period, saved: period.count };
  }

  #write({ identity, code }: Period, at: number, count: number): void {
    this.#table.note({
      at,
      event: "message_rejected",
      subject: identity,
      detail: code,
      count,
    });
  }
}

function keyOf({ identity, code }: { identity: string; code: string }): string {
  return `${code} ${identity}`;
}
