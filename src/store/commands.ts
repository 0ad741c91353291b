/** Commands to devices, as those see them who only look. */

import type { Command, CommandState } from "../core/command_life.ts";
import type { CommandReader } from "../core/command_store.ts";

/** A part of the commands, the newest first. */
export interface NewestCommands {
  /** Of these devices only; undefined: of all. */
  readonly deviceIds: readonly string[] | undefined;
  /** Only those in this state; undefined: in any. */
  readonly state: CommandState | undefined;
  /** Only those with a lower number; undefined: from the newest. */
  readonly before: number | undefined;
  readonly limit: number;
}

/** Numbers that are looked through for one part, so that a rare state holds nothing up. */
export const LOOKED_THROUGH_MAX = 10_000;

/** Some commands, perhaps none, and the number before which more may be; undefined: there are none. */
export interface CommandPart {
  readonly commands: readonly Command[];
  readonly next: number | undefined;
}

/** The commands that are kept; a gateway that runs works on them at the same time. */
export interface CommandStore extends CommandReader {
  /** Those that are there now, in the order of acceptance: of a device or of all, in a state or in any. */
  all(which: { readonly deviceId?: string; readonly state?: CommandState }): AsyncIterable<Command>;
  /** Some of them, the newest first. */
  newest(part: NewestCommands): Promise<CommandPart>;
}
