/** The program as a shell sees it: arguments in; exit code, stdout and stderr out. */

import { programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { type FinishedRun, runToEnd } from "./finished_run.ts";

/** Runs the program to its end. */
export async function shell(args: readonly string[], stdin = ""): Promise<FinishedRun> {
  return await runToEnd(programCommand(...args), { stdin });
}
