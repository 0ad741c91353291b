/** The points of a command's way at which a test can end the process. */

import type { ChangedCommand, CommandChange } from "../../core/command_store.ts";
import type { Failpoint } from "../../core/failpoint.ts";
import type { CommitResult } from "../../core/ports.ts";

/** Which points of commands a transaction has reached. */
export function commandFailpoints(
  changes: readonly CommandChange[],
  { committed, changedCommands }: CommitResult,
): Failpoint[] {
  if (changes.length === 0 && changedCommands.length === 0) return [];
  const isOver = ({ command: { state } }: ChangedCommand) =>
    state === "expired" || state === "unconfirmed";
  return [
    ...changes.flatMap((change) => failpointOf(change) ?? []),
    ...committed.flatMap(({ kind }) => kind === "acknowledged" ? "command_acknowledged" : []),
    ...changedCommands.flatMap((one) => isOver(one) ? "command_timed_out" : []),
  ];
}

function failpointOf(change: CommandChange): Failpoint | undefined {
  switch (change.kind) {
    case "accept":
      return change.copy ? "command_intended" : "command_stored";
    case "send":
      return "command_intended";
    case "conclude":
      return "command_concluded";
    case "cancel":
      return "command_cancelled";
    case "forget":
      return undefined;
    default:
      return change satisfies never;
  }
}
