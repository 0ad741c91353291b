/** What became of a command's copy at a broker. */

import type { CopyOutcome } from "./command_life.ts";
import type { Published } from "./ports.ts";

/** The outcome in what the broker has said of a publish. */
export function copyOutcomeOf(published: Published): CopyOutcome {
  switch (published.kind) {
    case "acknowledged":
      return published.subscribers ? "queued" : "no_subscriber";
    case "refused":
    case "unsent":
      return "unsent";
    case "unacknowledged":
      return "unknown";
    default:
      return published satisfies never;
  }
}
