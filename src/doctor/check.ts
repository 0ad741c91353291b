/**
 * What a check is, and what it finds.
 *
 * The rules are:
 * - a check is one small function in the list of its family; it changes nothing that stays;
 * - what it says was observed, not supposed; if something is wrong it says what to do;
 * - a check that cannot look has failed.
 */

import type { Config } from "../config/config.ts";
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

/** All is as it should be. */
export function pass(observed: string): CheckOutcome {
  return { status: "pass", observed };
}

/** It works, and should be otherwise. */
export function warn(observed: string, remedy: string): CheckOutcome {
  return { status: "warn", observed, remedy };
}

/** It must be fixed. */
export function fail(observed: string, remedy: string): CheckOutcome {
  return { status: "fail", observed, remedy };
}

/** It could not be looked at. */
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

/** Runs a check; what it throws has kept it from looking. */
export async function perform<T>({ name, look }: Check<T>, subject: T): Promise<CheckResult> {
  try {
    return { name, ...await look(subject) };
  } catch (error) {
    const observed = `Cannot look: ${messageOf(error)}`;
    const remedy = "See that what it names is there, and run this as the owner of the site's files";
    return { name, ...fail(observed, remedy) };
  }
}

/** The words of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
