/** What does the job: this gateway, or one of the two that it is measured beside. */

import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import type { BenchSite } from "./bench_site.ts";
import { packedCommand } from "./packed_gateway.ts";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;

/** A program that takes a site's messages to its backend. */
export interface Contender {
  readonly name: string;
  /** How to run it on a site. */
  command(site: BenchSite): Promise<ProgramCommand>;
  /** What it writes once messages flow. */
  readonly readyText: RegExp;
  /** True where each request carries the message's id. */
  readonly namesMessages: boolean;
}

/** One that runs. */
export interface RunningContender {
  readonly contender: Contender;
  readonly pid: number;
  /** Milliseconds from its start until messages flowed. */
  readonly startMs: number;
  readonly child: ChildProcess;
}

/** This gateway as it is packed; `settings` are environment variables without their prefix. */
export function gateway(
  settings: Readonly<Record<string, string>> = {},
  name = "this gateway",
): Contender {
  const environment = Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [`SECURE_IOT_GATEWAY_${name}`, value]),
  );
  return {
    name,
    command: async ({ layout }) => {
      const command = await packedCommand(["run", "--dir", layout.directory]);
      return { ...command, environment: { ...command.environment, ...environment } };
    },
    readyText: /^ready$/m,
    namesMessages: true,
  };
}

/** Runs `work` while a contender does its job, and stops it cleanly. */
export async function withContender<T>(
  contender: Contender,
  site: BenchSite,
  work: (running: RunningContender) => Promise<T>,
): Promise<T> {
  const startedMs = performance.now();
  const child = new ChildProcess(await contender.command(site));
  try {
    await poll(`${contender.name} to be ready`, async () => {
      if (child.running) return contender.readyText.test(child.stderr + child.stdout);
      await child.exited;
      throw new Error(`${contender.name} ended at once: ${child.stderr}${child.stdout}`);
    }, { timeoutMs: READY_TIMEOUT_MS });
    const startMs = performance.now() - startedMs;
    return await work({ contender, pid: child.pid, startMs, child });
  } finally {
    await child.stop({ timeoutMs: STOP_TIMEOUT_MS });
  }
}
