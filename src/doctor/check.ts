/**
 * What a check is, and what it finds.
 *
 * The rules are:
 * - a check is one small function in the list of its family; it changes nothing that stays;
 * - it reports what it observed, not what it assumes; if something is wrong, it says how to fix it;
 * - a check that cannot be made has failed.
 */

import type { Config } from "../config/config.ts";
import { faultText } from "../core/fault_text.ts";
import type { SiteLayout } from "../site/layout.ts";

/** How a check came out. */
type Status = "pass" | "warn" | "fail" | "skip";

/** What one check has observed. */
export interface CheckOutcome {
  readonly status: Status;
  readonly observed: string;
  /** What to do about it; undefined if there is nothing to do. */
  readonly remedy?: string;
  /** True if it was skipped because that was asked for. */
  readonly asked?: true;
}

/** What one check has observed, with its name. */
export interface CheckResult extends CheckOutcome {
  readonly name: string;
}

/** A site that is examined. */
export interface Site {
  readonly layout: SiteLayout;
  readonly config: Config;
  /** The wall clock, Unix milliseconds. */
  readonly nowMs: number;
}

/** One check of `Subject`; its name is unique. */
export interface Check<Subject> {
  readonly name: string;
  readonly look: (subject: Subject) => CheckOutcome | Promise<CheckOutcome>;
}

/** The check passed. */
export function pass(observed: string): CheckOutcome {
  return { status: "pass", observed };
}

/** It works, but should be changed. */
export function warn(observed: string, remedy: string): CheckOutcome {
  return { status: "warn", observed, remedy };
}

/** It must be fixed. */
export function fail(observed: string, remedy: string): CheckOutcome {
  return { status: "fail", observed, remedy };
}

/** It could not be checked. */
export function skip(reason: string): CheckOutcome {
  return { status: "skip", observed: reason };
}

/** A pass if there are no faults, otherwise all of them. */
export function passUnless(
  faults: readonly string[],
  { observed, remedy }: { readonly observed: string; readonly remedy: string },
): CheckOutcome {
  return faults.length === 0 ? pass(observed) : fail(faults.join("; "), remedy);
}

/** Runs a check; if it throws, the check could not be made and has failed. */
export async function perform<T>({ name, look }: Check<T>, subject: T): Promise<CheckResult> {
  try {
    return { name, ...await look(subject) };
  } catch (error) {
    const observed = `Cannot check: ${faultText(error)}`;
    const remedy =
      "Make sure that what it names exists, and run doctor as the owner of gateway.toml";
    return { name, ...fail(observed, remedy) };
  }
}
