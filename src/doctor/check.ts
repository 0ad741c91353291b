/**
 * What a check is, and what it finds.
 *
 * The rules are:
 * - a check is one small function in the list of its family; it changes nothing that stays;
 * - what it says was seen, not supposed; where something is wrong it says what to do;
 * - a check that cannot look has failed.
 */

import type { Config } from "../config.ts";
import type { SiteLayout } from "../site/layout.ts";

/** How a check came out. */
export type Verdict = "ok" | "warning" | "failed" | "skipped";

/** What one check has seen. */
export interface Outcome {
  readonly verdict: Verdict;
  readonly seen: string;
  /** What to do about it; undefined where there is nothing to do. */
  readonly mend?: string;
  /** True where it was skipped because that was asked for. */
  readonly asked?: true;
}

/** What one check has seen, with its name. */
export interface Finding extends Outcome {
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
  readonly look: (subject: Subject) => Outcome | Promise<Outcome>;
}

/** All is as it should be. */
export function ok(seen: string): Outcome {
  return { verdict: "ok", seen };
}

/** It works, and should be otherwise. */
export function warning(seen: string, mend: string): Outcome {
  return { verdict: "warning", seen, mend };
}

/** It must be mended. */
export function failed(seen: string, mend: string): Outcome {
  return { verdict: "failed", seen, mend };
}

/** It could not be looked at. */
export function skipped(reason: string): Outcome {
  return { verdict: "skipped", seen: reason };
}

/** Ok where there are no faults, otherwise all of them. */
export function okUnless(faults: readonly string[], { seen, mend }: Required<Reading>): Outcome {
  return faults.length === 0 ? ok(seen) : failed(faults.join("; "), mend);
}

/** What to say where all is well, and what to do where it is not. */
export type Reading = Pick<Outcome, "seen" | "mend">;

/** Runs a check; what it throws has kept it from looking. */
export async function perform<T>({ name, look }: Check<T>, subject: T): Promise<Finding> {
  try {
    return { name, ...await look(subject) };
  } catch (error) {
    const seen = `Cannot look: ${messageOf(error)}`;
    const mend = "See that what it names is there, and run this as the owner of the site's files";
    return { name, ...failed(seen, mend) };
  }
}

/** The words of an error. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
