/** What a command that failed says, and returns to the shell. */

import { CommanderError } from "commander";
import { StartError } from "../config/credentials.ts";
import { systemFault } from "../config/system_fault.ts";
import { SiteLockedError } from "../site/site_lock.ts";
import { CommandError, EXIT, type Exit, OutputError, printError } from "./terminal.ts";

/** Prints what went wrong; help and version are not errors. `typed` is the command as far as it is one. */
export function exitOf(error: unknown, typed = "secure-iot-gateway"): Exit {
  if (error instanceof CommandError) {
    printError(error);
    return error.exit;
  }
  if (error instanceof CommanderError) return exitOfCommander(error, typed);
  // The reader has closed the pipe: `… | head`.
  if (error instanceof OutputError && isBrokenPipe(error.cause)) return EXIT.failed;
  printError(failureOf(error));
  return EXIT.failed;
}

function isBrokenPipe(error: unknown): boolean {
  return error instanceof Deno.errors.BrokenPipe;
}

/** An error that no command expects: most come from the system, not from a bug. */
function failureOf(error: unknown): Pick<CommandError, "faults" | "hint"> {
  if (error instanceof SiteLockedError) return { faults: [error.message], hint: error.hint };
  if (error instanceof OutputError) {
    return { faults: [error.message], hint: "What the command has changed stays changed" };
  }
  if (error instanceof StartError) {
    return { faults: [error.message], hint: "Replace that file, or restore it from a backup" };
  }
  const fault = systemFault(error);
  if (fault !== undefined) return { faults: [fault.reason], hint: fault.hint };
  return {
    faults: [error instanceof Error ? error.message : String(error)],
    hint: "This is a bug in secure-iot-gateway: please report it with the command and this error",
  };
}

function exitOfCommander(error: CommanderError, typed: string): Exit {
  if (error.exitCode === 0) return EXIT.ok;
  const [first = "", suggestion] = error.message.replace(/^error: /, "").split("\n");
  const fault = first === "(outputHelp)" ? "Name a command" : first;
  const hint = suggestion ? suggestion.replace(/^\((.*)\)$/, "$1") : `Run ${typed} --help`;
  printError({ faults: [fault.charAt(0).toUpperCase() + fault.slice(1)], hint });
  return EXIT.usage;
}
