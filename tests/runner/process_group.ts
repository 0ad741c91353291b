/** Programs that are run in a process group of their own, so that nothing they started is left. */

/** Between SIGTERM and SIGKILL when a group is to end. */
const STOP_TIMEOUT_MS = 5_000;

/** What a finished program left. */
interface GroupResult {
  readonly output: string;
  readonly success: boolean;
  readonly code: number;
  readonly signal: Deno.Signal | null;
}

/** One program and all that it starts. */
export class ProcessGroup {
  static readonly #all = new Set<ProcessGroup>();
  /** Resolves when the program has ended; whatever it has left running is killed. */
  readonly ended: Promise<GroupResult>;
  readonly #child: Deno.ChildProcess;

  /** Starts it; ends it if it runs longer than `limitMs`. */
  constructor(path: string, args: readonly string[], options: {
    readonly env?: Readonly<Record<string, string>>;
    readonly limitMs: number;
  }) {
    this.#child = new Deno.Command(path, {
      args: [...args],
      env: { ...options.env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      detached: true,
    }).spawn();
    ProcessGroup.#all.add(this);
    this.ended = this.#end(options.limitMs);
  }

  /** Ends all that still run; after a while by force. */
  static async stopAll(): Promise<void> {
    const all = [...ProcessGroup.#all];
    for (const group of all) group.#kill("SIGTERM");
    const timer = setTimeout(() => {
      for (const group of all) group.#kill("SIGKILL");
    }, STOP_TIMEOUT_MS);
    await Promise.all(all.map(({ ended }) => ended));
    clearTimeout(timer);
  }

  async #end(limitMs: number): Promise<GroupResult> {
    const chunks: Uint8Array[] = [];
    const drained = Promise.all([this.#drain("stdout", chunks), this.#drain("stderr", chunks)]);
    const timer = setTimeout(() => this.#kill("SIGKILL"), limitMs);
    const { success, code, signal } = await this.#child.status;
    clearTimeout(timer);
    this.#kill("SIGKILL");
    await drained;
    ProcessGroup.#all.delete(this);
    return { output: await new Blob(chunks as BlobPart[]).text(), success, code, signal };
  }

  async #drain(name: "stdout" | "stderr", chunks: Uint8Array[]): Promise<void> {
    for await (const chunk of this.#child[name]) chunks.push(chunk);
  }

  #kill(signal: Deno.Signal): void {
    try {
      Deno.kill(-this.#child.pid, signal);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
