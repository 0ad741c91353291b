/** What the database keeps of the clock by which what is old is deleted. */

import { AGE_CLOCK_MARK, type AgeMarks } from "../age_clock.ts";
import type { Database } from "./database.ts";

/** The marks in a database. */
export function ageMarks(store: Database): AgeMarks {
  return {
    markedMs: store.readMark(AGE_CLOCK_MARK),
    // The machine may not know the time yet.
    lastEntryMs: () => {
      const row = store.prepare("SELECT max(at) AS at FROM audit").get();
      return ((row?.["at"] ?? 0) as number) * 1000;
    },
    mark: (ms) => store.writeMark(AGE_CLOCK_MARK, ms),
  };
}
