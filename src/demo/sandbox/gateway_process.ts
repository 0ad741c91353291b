/** The gateway as a process of its own, so that it can be killed like one. */

import { fileURLToPath } from "node:url";
import { PROGRAM_VARIABLE } from "../../config/settings_table.ts";
import { RUNTIME_FLAGS } from "../../process/runtime_flags.ts";
import { ChildProcess, type ProgramCommand, StartedProcess } from "./child_process.ts";
import { poll } from "../../time/poll.ts";

/** One line of the gateway's log. */
export type LogRecord = {
  readonly time: string;
  readonly level: string;
  readonly event: string;
  readonly message: string;
} & Readonly<Record<string, unknown>>;

const START_TIMEOUT_MS = 20_000;
/** The gateway itself waits up to ten seconds for what is under way. */
const STOP_TIMEOUT_MS = 15_000;

/** How to run the gateway on the site in `directory`. */
export function gatewayCommand(directory: string): ProgramCommand {
  return programCommand("run", "--dir", directory);
}

/** As the packed program has them. */
const PERMISSIONS = new Map([
  ["demo", "demo"],
  ["certificate", "operator"],
  ["device", "operator"],
  ["doctor", "operator"],
  ["lists", "operator"],
  ["rotate-authority", "operator"],
  ["site", "operator"],
]);

/** How to run this program with other arguments: packed, compiled, or from source. */
export function programCommand(...args: string[]): ProgramCommand {
  const packed = Deno.env.get(PROGRAM_VARIABLE);
  if (packed !== undefined) return { path: packed, args };
  const path = Deno.execPath();
  if (Deno.build.standalone) return { path, args };
  const source = (name: string) => fileURLToPath(new URL(`../../../${name}`, import.meta.url));
  const permissions = PERMISSIONS.get(args[0] ?? "") ?? "gateway";
  const flags = ["--config", source("deno.json"), `-P=${permissions}`, ...RUNTIME_FLAGS];
  const start = ["run", "-q", "--no-prompt", ...flags];
  return { path, args: [...start, source("main.ts"), ...args] };
}

/** One running gateway. */
export class GatewayProcess extends StartedProcess {
  /** Starts a gateway; resolves once it takes messages, rejects with its output otherwise. */
  static async start(
    directory: string,
    options: { environment?: Readonly<Record<string, string>> } = {},
  ): Promise<GatewayProcess> {
    const child = new ChildProcess({ ...gatewayCommand(directory), ...options });
    try {
      await poll("the gateway to be ready", async () => {
        if (child.running) return /^ready$/m.test(child.stderr);
        await child.exited;
        throw new Error("The gateway ended at once");
      }, { timeoutMs: START_TIMEOUT_MS });
    } catch (error) {
      await child.stop();
      throw new Error(`${(error as Error).message}:\n${child.stderr.trim()}`);
    }
    return new GatewayProcess(child);
  }

  /** All that it has written to stderr so far. */
  log(): string {
    return this.child.stderr;
  }

  /** The records in its log so far. */
  lines(): LogRecord[] {
    const complete = this.log().split("\n").slice(0, -1);
    return complete.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
  }

  /** Stops it with SIGTERM; returns its exit code. */
  async stop(): Promise<number> {
    const { code } = await this.child.stop({ timeoutMs: STOP_TIMEOUT_MS });
    return code;
  }
}
