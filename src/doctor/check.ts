/**
 * What a check is, and what it finds.
 *
 * The rules are:
 * - a check is one small function in the list of its family; it changes nothing that stays;
 * - what it says was observed, not supposed; where something is wrong it says what to do;
 * - a check that cannot look has failed.
 */

import type { Config } from "../config/config.ts";
import type { SiteLayout } from "../site/layout.ts";

/** How a check came out. */
export type Status = "ok" | "warning" | "failed" | "skipped";

/** What one check has observed. */
export interface CheckOutcome {
  readonly status: Status;
  readonly observed: string;
  /** What to do about it; undefined where there is nothing to do. */
  readonly remedy?: string;
  /** True where it was skipped because that was asked for. */
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
export function ok(observed: string): CheckOutcome {
  return { status: "ok", observed };
}

/** It works, and should be otherwise. */
export function warning(observed: string, remedy: string): CheckOutcome {
  return { status: "warning", observed, remedy };
}

/** It must be mended. */
export function failed(observed: string, remedy: string): CheckOutcome {
  return { status: "failed", observed, remedy };
}

/** It could not be looked at. */
export function skipped(reason: string): CheckOutcome {
  return { status: "skipped", observed: reason };
}

/** Ok where there are no faults, otherwise all of them. */
export function passUnless(
  faults: readonly string[],
  { observed, remedy }: Required<Reading>,
): CheckOutcome {
  return faults.length === 0 ? ok(observed) : failed(faults.join("; "), remedy);
}

/** What to say where all is well, and what to do where it is not. */
export type Reading = Pick<CheckOutcome, "observed" | "remedy">;

/** Runs a check; what it throws has kept it from looking. */
export async function perform<T>({ name, look }: Check<T>, subject: T): Promise<CheckResult> {
  try {
    return { name, ...await look(subject) };
  } catch (error) {
    const observed = `Cannot look: ${messageOf(error)}`;
    const remedy = "See that what it names is there, and run this as the owner of the site's files";
    return { name, ...failed(observed, remedy) };
  }
}

/** The words of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
