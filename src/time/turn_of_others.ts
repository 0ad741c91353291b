/** Lets everything else go first, where one client could keep this process to itself. */

import { setImmediate } from "node:timers";

/** Resolves after what else is due: timers, connections. */
export function turnOfOthers(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
