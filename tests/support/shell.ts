/** The program as a shell sees it: arguments in; exit code, stdout and stderr out. */

import { programCommand } from "../../src/demo/sandbox/gateway_process.ts";
import { freePorts } from "./free_ports.ts";
import { type FinishedRun, runToEnd } from "./finished_run.ts";

/** Options of `init` for ports on which nobody listens; on the usual ones somebody's broker may. */
export function quietPorts(): string[] {
  const [mqtt, gateway, api] = freePorts(3);
  return ["--mqtt-port", `${mqtt}`, "--gateway-port", `${gateway}`, "--api-port", `${api}`];
}

/** Runs the program to its end. */
export async function shell(args: readonly string[], stdin = ""): Promise<FinishedRun> {
  return await runToEnd(programCommand(...args), { stdin });
}
