/** Entries of the audit as rows, whatever engine has them. */

import type { AuditNote } from "../core/audit_note.ts";
import type { AuditEntry, RejectionCount } from "./audit.ts";
import type { StoredRow } from "./stored_row.ts";

/** The columns that notes and entries share. */
export function noteOf(row: StoredRow): AuditNote {
  return {
    at: row["at"] as number,
    event: row["event"] as string,
    subject: row["subject"] as string,
    detail: row["detail"] as string,
    count: row["count"] as number,
  };
}

/** Counted rejections in a row. */
export function rejectionCountOf(row: StoredRow): RejectionCount {
  return {
    identity: row["identity"] as string,
    code: row["code"] as string,
    count: row["count"] as number,
    first: row["first"] as number,
    last: row["last"] as number,
  };
}

/** An entry in its row. */
export function auditEntryOf(row: StoredRow): AuditEntry {
  return {
    ...noteOf(row),
    sequence: row["sequence"] as number,
    author: row["author"] as string,
    hash: row["hash"] as Uint8Array,
  };
}
