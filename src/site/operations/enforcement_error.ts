/** Why the broker does not use the newest lists. */

/** Ends an enforcement; the hint says what to do. */
export class EnforcementError extends Error {
  override readonly name = "EnforcementError";
  readonly hint: string;
  /** `broker_not_running`: nothing listens at its address; it reads the lists when it starts. */
  readonly kind: "broker_not_running" | "not_enforced";

  constructor(
    reason: string,
    hint: string,
    kind: EnforcementError["kind"] = "not_enforced",
  ) {
    super(reason);
    this.hint = hint;
    this.kind = kind;
  }
}
