/** How many tests passed, and how many did not. */

/** What a run, or several, came to. */
export interface TestCounts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** Nothing was run. */
export const NO_TESTS: TestCounts = { passed: 0, failed: 0, skipped: 0 };

/**
 * The counts in the output of `deno test`. A process that ended badly without a failed test, by a
 * signal or a module that does not load, has one failure all the same.
 */
export function countsOf(output: string, success: boolean): TestCounts {
  const lines = output.matchAll(
    /^(?:ok|FAILED) \| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(.*)$/gm,
  );
  const [, passed = "0", failed = "0", others = ""] = [...lines].at(-1) ?? [];
  const skipped = /(\d+) ignored/.exec(others)?.[1] ?? "0";
  return {
    passed: Number(passed),
    failed: success ? Number(failed) : Math.max(1, Number(failed)),
    skipped: Number(skipped),
  };
}

/** The sum of two. */
export function addCounts(a: TestCounts, b: TestCounts): TestCounts {
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
  };
}

/** `N passed, N failed`, and how many were skipped if any were. */
export function sentenceOf({ passed, failed, skipped }: TestCounts): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`;
}
