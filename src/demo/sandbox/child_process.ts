/** A program that runs beside ours: its output, signals to it, its end. */

/** Between SIGTERM and SIGKILL, unless another time is given. */
const STOP_TIMEOUT_MS = 5_000;

/** What to run. */
export interface ProgramCommand {
  readonly path: string;
  readonly args: readonly string[];
  /** Added to the environment that it inherits from us. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** One child process, whose output is kept. */
export class ChildProcess {
  static readonly #all = new Set<ChildProcess>();
  readonly pid: number;
  /** Resolves when the process has ended and all its output is read. */
  readonly exited: Promise<Deno.CommandStatus>;
  readonly #child: Deno.ChildProcess;
  readonly #output = { stdout: "", stderr: "" };
  #running = true;

  constructor(command: ProgramCommand) {
    this.#child = new Deno.Command(command.path, {
      args: [...command.args],
      env: { ...command.environment },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.exited = this.#end();
    ChildProcess.#all.add(this);
  }

  /** Ends by force whatever still runs: nothing must outlive us. */
  static async killAll(): Promise<void> {
    const all = [...ChildProcess.#all];
    for (const child of all) child.kill("SIGKILL");
    await Promise.all(all.map((child) => child.exited));
  }

  /** Runs a program to its end and returns its stdout; rejects with its stderr if it fails. */
  static async run(command: ProgramCommand): Promise<string> {
    const child = new ChildProcess(command);
    const { success } = await child.exited;
    if (!success) throw new Error(child.stderr.trim());
    return child.stdout;
  }

  /** False once the process has ended. */
  get running(): boolean {
    return this.#running;
  }

  /** What it has written to stdout so far. */
  get stdout(): string {
    return this.#output.stdout;
  }

  /** What it has written to stderr so far. */
  get stderr(): string {
    return this.#output.stderr;
  }

  /** Sends a signal; does nothing if the process has ended. */
  kill(signal: Deno.Signal): void {
    if (this.#running) this.#child.kill(signal);
  }

  /** Stops it with SIGTERM, or with SIGKILL if that does not work. */
  async stop(options: { timeoutMs?: number } = {}): Promise<Deno.CommandStatus> {
    this.kill("SIGTERM");
    const timer = setTimeout(() => this.kill("SIGKILL"), options.timeoutMs ?? STOP_TIMEOUT_MS);
    try {
      return await this.exited;
    } finally {
      clearTimeout(timer);
    }
  }

  async #end(): Promise<Deno.CommandStatus> {
    const drained = Promise.all([this.#drain("stdout"), this.#drain("stderr")]);
    const status = await this.#child.status;
    this.#running = false;
    await drained;
    ChildProcess.#all.delete(this);
    return status;
  }

  async #drain(name: "stdout" | "stderr"): Promise<void> {
    const texts = this.#child[name].pipeThrough(new TextDecoderStream());
    for await (const text of texts) this.#output[name] += text;
  }
}

/** A child process that has come up: how it is made is its class's. */
export class StartedProcess {
  readonly pid: number;
  /** Resolves when the process has ended and all its output is read. */
  readonly exited: Promise<Deno.CommandStatus>;
  protected readonly child: ChildProcess;

  protected constructor(child: ChildProcess) {
    this.child = child;
    this.pid = child.pid;
    this.exited = child.exited;
  }

  /** Sends a signal; does nothing if the process has ended. */
  kill(signal: Deno.Signal): void {
    this.child.kill(signal);
  }
}
