/**
 * Which test files there are, and how each is run.
 *
 * The rules are:
 * - files in tests/unit need no process and no network: they are run together, in one process;
 * - every other file has a process of its own, beside others;
 * - a file with a line `// Runs alone: REASON` is run while nothing else is.
 */

import { join } from "node:path";

/** How a file is run. */
type Mode = "together" | "beside" | "alone";

/** One file with tests. */
export interface TestFile {
  /** As it was asked for: from the project's root. */
  readonly path: string;
  readonly mode: Mode;
}

/** The folders whose files take longest come first, so that the last to end are short ones. */
const ORDER = ["tests/e2e/", "tests/build/", "tests/integration/"];

/** The test files among and below `paths`; a path that is not there is an error. */
export function findTestFiles(paths: readonly string[]): TestFile[] {
  const files = [...new Set(paths.flatMap(testFilesIn))].map((path) => ({
    path,
    mode: modeOf(path, Deno.readTextFileSync(path)),
  }));
  return files.sort((a, b) => rankOf(a.path) - rankOf(b.path) || (a.path < b.path ? -1 : 1));
}

/** How a file with this path and text is run. */
export function modeOf(path: string, text: string): Mode {
  if (/^\/\/ Runs alone: \S/m.test(text)) return "alone";
  return path.startsWith("tests/unit/") ? "together" : "beside";
}

function testFilesIn(path: string): string[] {
  if (Deno.statSync(path).isFile) return [path];
  return [...Deno.readDirSync(path)].flatMap(({ name, isDirectory }) => {
    if (isDirectory) return testFilesIn(join(path, name));
    return name.endsWith("_test.ts") ? [join(path, name)] : [];
  });
}

function rankOf(path: string): number {
  const rank = ORDER.findIndex((folder) => path.startsWith(folder));
  return rank === -1 ? ORDER.length : rank;
}
