/** What is entered in the audit log. */

/** Something to be entered. */
export interface AuditNote {
  /** Unix seconds. */
  readonly at: number;
  readonly event: string;
  /** The device, or the name of the API key; empty if neither fits. */
  readonly subject: string;
  readonly detail: string;
  /** How often it happened. */
  readonly count: number;
}
