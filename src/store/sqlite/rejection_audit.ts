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

import type { StatementSync } from "node:sqlite";
import type { RejectionCode } from "../../core/rejection.ts";
import { type AuditLimits, AuditLog } from "./audit_log.ts";
import type { Database } from "./database.ts";

/** A rejected message, and the topic's identity that sent it. */
export interface RejectedMessage {
  readonly identity: string;
  readonly code: RejectionCode;
}

/** What became of the rejections of one commit, to be kept once it is on the disk. */
export type StagedRejections = ReadonlyMap<string, Period | undefined>;

/** Rejections of one device with one code that are counted and not entered yet. */
export interface Period {
  readonly identity: string;
  readonly code: string;
  /** Unix seconds. */
  readonly since: number;
  readonly seconds: number;
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

/** The gateway's part of the audit. */
export class RejectionAudit {
  readonly #store: Database;
  readonly #audit: AuditLog;
  readonly #limits: AuditLimits;
  readonly #save: StatementSync;
  readonly #end: StatementSync;
  readonly #periods = new Map<string, Period>();

  constructor(store: Database, limits: AuditLimits) {
    this.#store = store;
    this.#audit = new AuditLog(store);
    this.#limits = limits;
    this.#save = store.prepare("INSERT OR REPLACE INTO audit_rejections VALUES (?, ?, ?, ?, ?)");
    this.#end = store.prepare("DELETE FROM audit_rejections WHERE identity = ? AND code = ?");
    for (const row of store.prepare("SELECT * FROM audit_rejections").all()) {
      const period = row as unknown as Omit<Period, "saved">;
      this.#periods.set(keyOf(period), { ...period, saved: period.count });
    }
  }

  /** Enters what is new, and with `tidy` what is due; belongs inside a transaction. */
  enter(
    rejected: Iterable<RejectedMessage>,
    options: { readonly tidy: boolean; readonly wallMs: number },
  ): StagedRejections {
    const at = Math.floor(options.wallMs / 1000);
    const staged = new Map<string, Period | undefined>();
    for (const one of rejected) this.#count(one, at, staged);
    if (options.tidy) {
      for (const [key, period] of this.#periods) this.#tidy(staged.get(key) ?? period, at, staged);
      this.#audit.trim(this.#limits, options.wallMs);
    }
    return staged;
  }

  /** Takes note that the commit is on the disk. */
  keep(staged: StagedRejections): void {
    for (const [key, period] of staged) {
      if (period) this.#periods.set(key, period);
      else this.#periods.delete(key);
    }
  }

  #count(one: RejectedMessage, at: number, staged: Map<string, Period | undefined>): void {
    const { code } = one;
    const identity = one.identity.slice(0, IDENTITY_MAX_CHARS);
    const known = this.#stage({ identity, code }, staged);
    if (known) return void known.count++;
    const full = this.#periods.size + staged.size >= PERIODS_MAX;
    if (full && identity !== OTHERS) return this.#count({ identity: OTHERS, code }, at, staged);
    const fresh = { identity, code, since: at, seconds: PERIOD_FIRST_SECONDS, count: 0, saved: 0 };
    this.#write(fresh, at, 1);
    this.#persist(fresh);
    staged.set(keyOf(fresh), fresh);
  }

  /** A copy that may be changed: what a commit does not keep has never been. */
  #stage(
    one: { identity: string; code: string },
    staged: Map<string, Period | undefined>,
  ): Period | undefined {
    const key = keyOf(one);
    const period = staged.get(key) ?? this.#periods.get(key);
    if (period === undefined || staged.has(key)) return period;
    const copy = { ...period };
    staged.set(key, copy);
    return copy;
  }

  #tidy(period: Period, at: number, staged: Map<string, Period | undefined>): void {
    const { identity, code, since, seconds, count, saved } = period;
    const key = keyOf(period);
    if (at >= since && at < since + seconds) {
      if (count !== saved) staged.set(key, this.#persist(period));
    } else if (count > 0) {
      this.#write(period, at, count);
      const longer = Math.min(2 * seconds, PERIOD_LONGEST_SECONDS);
      staged.set(key, this.#persist({ ...period, since: at, seconds: longer, count: 0 }));
    } else {
      this.#end.run(identity, code);
      staged.set(key, undefined);
    }
  }

  #persist(period: Period): Period {
    const { identity, code, since, seconds, count } = period;
    this.#save.run(identity, code, since, seconds, count);
    return { ...period, saved: count };
  }

  #write({ identity, code }: Period, at: number, count: number): void {
    this.#store.audit.note({
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
