/** Why a certificate's renewal is not complete, as values; the command line makes the sentences. */

import type { RevocationFault } from "./revocation_fault.ts";

/** Whose certificate. */
export type RenewTarget = "broker" | "gateway" | "api";

/** Nothing was changed, unless a fault says otherwise. */
export type RenewFault =
  /** The authority's key is where the site is administered. */
  | { readonly kind: "authority_elsewhere"; readonly path: string }
  | { readonly kind: "authority_unusable"; readonly reason: string }
  | { readonly kind: "certificate_unusable"; readonly reason: string }
  /** Another authority has issued it. */
  | { readonly kind: "certificate_foreign"; readonly path: string }
  | { readonly kind: "host_not_usable"; readonly host: string }
  /** What is to be removed is not there. */
  | { readonly kind: "host_not_named"; readonly host: string }
  /** The settings name it, so those who connect to it would not trust the certificate. */
  | { readonly kind: "host_needed"; readonly host: string; readonly setting: string }
  /** The gateway shows its certificate to nobody who looks at names. */
  | { readonly kind: "names_not_usable" }
  | { readonly kind: "system_refused"; readonly reason: string }
  /** The broker does not let it in. */
  | { readonly kind: "certificate_refused"; readonly reason: string }
  /** It is in place, and the gateway takes it when it is told. */
  | { readonly kind: "gateway_not_told"; readonly pid: number; readonly reason: string }
  /** It was in place; the one before is there again. */
  | { readonly kind: "certificate_not_served"; readonly by: RenewTarget; readonly reason: string }
  /** Of `broker_not_told`: it is in place, and the broker takes it when it starts. */
  | RevocationFault;

/** Carries a fault up to where it becomes a value. */
export class RenewError extends Error {
  override readonly name = "RenewError";
  readonly fault: RenewFault;

  constructor(fault: RenewFault) {
    super(fault.kind);
    this.fault = fault;
  }
}
