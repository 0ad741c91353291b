/** One life of the gateway as a process, from its start to its end, however that comes. */

import { fileURLToPath } from "node:url";
import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { gatewayCommand, type LogRecord } from "../../src/demo/sandbox/gateway_process.ts";
import { poll } from "../../src/time/poll.ts";
import type { Failpoint as FailpointName } from "../../src/core/failpoint.ts";
import { usageOf } from "../support/process_usage.ts";

const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 15_000;

/** Where a gateway ends itself: at the n-th passing of a point. */
export interface Failpoint {
  readonly point: FailpointName;
  readonly passing: number;
}

/** A gateway, or what is left of it. */
export class GatewayLife {
  readonly #child: ChildProcess;

  constructor(command: ProgramCommand) {
    this.#child = new ChildProcess(command);
  }

  /** Starts the program on a site, or the one that ends at a failpoint. */
  static begin(
    directory: string,
    environment: Readonly<Record<string, string>>,
    options: { failpoint?: Failpoint } = {},
  ): GatewayLife {
    const { failpoint } = options;
    const command = failpoint ? failpointCommand(directory, failpoint) : gatewayCommand(directory);
    return new GatewayLife({ ...command, environment });
  }

  get pid(): number {
    return this.#child.pid;
  }

  get running(): boolean {
    return this.#child.running;
  }

  /** Resolves when the process has ended and all its output is read. */
  get exited(): Promise<Deno.CommandStatus> {
    return this.#child.exited;
  }

  /** All that it has written to stderr so far. */
  get log(): string {
    return this.#child.stderr;
  }

  /** Resolves once it takes messages; rejects with its log where it ends before. */
  async ready(): Promise<void> {
    await poll("the gateway to be ready", async () => {
      if (this.running) return /^ready$/m.test(this.log);
      await this.exited;
      throw new Error(`The gateway has ended:\n${this.log}`);
    }, { timeoutMs: READY_TIMEOUT_MS });
  }

  /** The records of an event in its log so far. */
  records(event: string): LogRecord[] {
    const complete = this.log.split("\n").slice(0, -1);
    return complete.filter((line) => line.includes(`"event":"${event}"`))
      .map((line) => JSON.parse(line));
  }

  /** Waits for an event in the log. */
  async logged(event: string, options: { timeoutMs?: number } = {}): Promise<LogRecord> {
    return await poll(`${event} in the log`, () => this.records(event)[0], options);
  }

  kill(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** SIGKILL; resolves when it is dead. */
  async end(): Promise<void> {
    this.kill("SIGKILL");
    await this.exited;
  }

  /** Stops it cleanly; returns its exit code. */
  async stop(): Promise<number> {
    return (await this.#child.stop({ timeoutMs: STOP_TIMEOUT_MS })).code;
  }

  /** Memory that it occupies, bytes. */
  async residentBytes(): Promise<number> {
    return (await usageOf(this)).residentBytes;
  }
}

function failpointCommand(directory: string, { point, passing }: Failpoint): ProgramCommand {
  const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));
  const start = ["run", "-q", "--no-prompt", "--config", source("../../deno.json"), "-P=test"];
  const entry = source("gateway_with_failpoint.ts");
  return {
    path: Deno.execPath(),
    args: [...start, entry, directory, point, String(passing)],
  };
}
