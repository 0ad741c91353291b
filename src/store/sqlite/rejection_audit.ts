/** Rejections in the audit of a database; see rejection_periods.ts. */

import type { AuditLimits } from "../audit.ts";
import type { Committed } from "../../core/ports.ts";
import { type PeriodChanges, RejectionPeriods, type SavedPeriod } from "../rejection_periods.ts";
import { AuditLog } from "./audit_log.ts";
import type { Database } from "./database.ts";

/** The gateway's part of the audit. */
export class RejectionAudit {
  readonly #audit: AuditLog;
  readonly #limits: AuditLimits;
  readonly #periods: RejectionPeriods;

  constructor(store: Database, limits: AuditLimits) {
    this.#audit = new AuditLog(store);
    this.#limits = limits;
    const save = store.prepare("INSERT OR REPLACE INTO audit_rejections VALUES (?, ?, ?, ?, ?)");
    const end = store.prepare("DELETE FROM audit_rejections WHERE identity = ? AND code = ?");
    const saved = store.prepare("SELECT * FROM audit_rejections").all();
    this.#periods = new RejectionPeriods({
      note: (note) => store.audit.note(note),
      save: ({ identity, code, since, seconds, count }) =>
        save.run(identity, code, since, seconds, count),
      end: ({ identity, code }) => end.run(identity, code),
    }, saved as unknown as SavedPeriod[]);
  }

  /** Writes what is new, and with `tidy` what is due; belongs inside a transaction. */
  write(
    committed: Iterable<Committed>,
    { tidy, wallMs }: {
      readonly tidy: { readonly ageMs: number } | undefined;
      readonly wallMs: number;
    },
  ): PeriodChanges {
    const changes = this.#periods.write(committed, { tidies: tidy !== undefined, wallMs });
    if (tidy) this.#audit.trim(this.#limits, { nowMs: wallMs, ageMs: tidy.ageMs });
    return changes;
  }

  /** The commit is on the disk. */
  apply(changes: PeriodChanges): void {
    this.#periods.apply(changes);
  }
}
