/**
 * What is to be entered in the audit with the next transaction. Bounded: what does not fit while
 * the store cannot be written is entered as one count.
 */

import type { AuditNote } from "../../core/audit_note.ts";

/** Most notes that wait. */
export const NOTES_MAX = 1_000;

/** The notes that wait. */
export class NoteQueue {
  readonly #notes: AuditNote[] = [];
  #overflow: AuditNote | undefined;

  get isEmpty(): boolean {
    return this.#notes.length === 0;
  }

  add(note: AuditNote): void {
    if (this.#notes.length < NOTES_MAX) return void this.#notes.push(note);
    const count = (this.#overflow?.count ?? 0) + note.count;
    this.#overflow = { at: note.at, event: "audit_overflow", subject: "", detail: "", count };
  }

  /** Those to write now; they wait until `written`. */
  waiting(): readonly AuditNote[] {
    return [...this.#notes];
  }

  /** They are on the disk; what did not fit is next. */
  written(notes: readonly AuditNote[]): void {
    this.#notes.splice(0, notes.length);
    if (this.#overflow && notes.length > 0) this.#notes.push(this.#overflow);
    if (notes.length > 0) this.#overflow = undefined;
  }
}
