/** Ends an enforcement: why the broker does not use the newest lists. */

import type { RevocationFault } from "./revocation_fault.ts";

/** Carries a fault up to where it becomes a value. */
export class EnforcementError extends Error {
  override readonly name = "EnforcementError";
  readonly fault: RevocationFault;

  constructor(fault: RevocationFault) {
    super(fault.kind);
    this.fault = fault;
  }
}
