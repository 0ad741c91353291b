/** Commands to devices, as those see them who only look. */

import type { Command, CommandState } from "../core/command_life.ts";
import type { CommandReader } from "../core/command_store.ts";

/** The commands that are kept; a gateway that runs works on them at the same time. */
export interface CommandStore extends CommandReader {
  /** Those that are there now, in the order of acceptance: of a device or of all, in a state or in any. */
  all(which: { readonly deviceId?: string; readonly state?: CommandState }): AsyncIterable<Command>;
}
