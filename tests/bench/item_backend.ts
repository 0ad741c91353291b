/** A backend that takes batches and says something of each item, near or far away. */

import { fileURLToPath } from "node:url";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "../support/free_ports.ts";
import type { BenchBackend, ReceivedReading } from "./bench_backend.ts";

const PROGRAM = fileURLToPath(new URL("item_backend_program.ts", import.meta.url));

/** One running program. */
export class ItemBackend implements BenchBackend {
  readonly port: number;
  readonly pid: number;
  readonly #child: ChildProcess;

  private constructor(port: number, child: ChildProcess) {
    this.port = port;
    this.pid = child.pid;
    this.#child = child;
  }

  /** Starts one that answers after so many milliseconds. */
  static async start({ delayMs }: { readonly delayMs: number }): Promise<ItemBackend> {
    const [port] = freePorts(1) as [number];
    const args = ["run", "-q", "--no-prompt", "--allow-net", PROGRAM, `${port}`, `${delayMs}`];
    const child = new ChildProcess({ path: Deno.execPath(), args });
    await poll("the backend", () => {
      if (!child.running) throw new Error(`The backend ended at once: ${child.stderr}`);
      return child.stdout.includes("listening");
    });
    return new ItemBackend(port, child);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  async readings(): Promise<number> {
    return Number(await this.#get("count"));
  }

  /** Requests so far, each with one reading or a batch of them. */
  async requests(): Promise<number> {
    return Number(await this.#get("requests"));
  }

  /** Requests that were under way at once, at most. */
  async mostAtOnce(): Promise<number> {
    return Number(await this.#get("most_at_once"));
  }

  async received(): Promise<ReceivedReading[]> {
    const pairs: [atMs: number, messageId: string][] = JSON.parse(await this.#get("received"));
    return pairs.map(([atMs, messageId]) => ({ atMs, messageId }));
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async #get(path: string): Promise<string> {
    return await (await fetch(`${this.url}/${path}`)).text();
  }
}
