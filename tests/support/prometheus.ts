/** Prometheus and its promtool, where they are installed (Debian: prometheus). With TEST_PROMETHEUS they must be. */

import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "./free_ports.ts";

const FOLDERS = ["/usr/bin", "/usr/local/bin"];
const PROMETHEUS = find("prometheus");
const PROMTOOL = find("promtool");

/** False where one is missing; a test that is skipped for that says so. */
export const HAS_PROMETHEUS: boolean = PROMETHEUS !== undefined && PROMTOOL !== undefined;

if (!HAS_PROMETHEUS) {
  if (Deno.env.has("TEST_PROMETHEUS")) throw new Error("Install Debian's package prometheus");
  // deno-lint-ignore no-console -- who runs the tests must see why some are skipped
  console.warn("prometheus and promtool are not installed: what needs them is skipped");
}

/** Runs promtool; rejects with what it says if it finds a fault. */
export async function promtool(...args: readonly string[]): Promise<void> {
  const child = new ChildProcess({ path: PROMTOOL!, args });
  const { success } = await child.exited;
  if (!success) throw new Error(child.stdout + child.stderr);
}

/** One Prometheus with a configuration file, whose data goes into a folder. */
export class Prometheus {
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  static async start(configuration: string, folder: string): Promise<Prometheus> {
    const [port] = freePorts(1);
    const address = `127.0.0.1:${port}`;
    const child = new ChildProcess({
      path: PROMETHEUS!,
      args: [
        `--config.file=${configuration}`,
        `--storage.tsdb.path=${folder}`,
        `--web.listen-address=${address}`,
      ],
    });
    const prometheus = new Prometheus(`http://${address}`, child);
    await poll("Prometheus", () => prometheus.#isReady(), { timeoutMs: 60_000 });
    return prometheus;
  }

  /** The `data` of an answer of its HTTP API. */
  // deno-lint-ignore no-explicit-any -- each request has another form
  async ask(path: string): Promise<any> {
    const response = await fetch(`${this.url}/api/v1/${path}`);
    const { status, data, error } = await response.json();
    if (status !== "success") throw new Error(error);
    return data;
  }

  /** What a query says now: each series by its labels, with its value. */
  async query(expr: string): Promise<{ metric: Record<string, string>; value: number }[]> {
    const { result } = await this.ask(`query?query=${encodeURIComponent(expr)}`);
    return result.map((
      { metric, value: [, text] }: { metric: Record<string, string>; value: [number, string] },
    ) => ({ metric, value: Number(text) }));
  }

  async stop(): Promise<void> {
    await this.#child.stop();
  }

  async #isReady(): Promise<boolean> {
    if (!this.#child.running) throw new Error(this.#child.stderr);
    try {
      const response = await fetch(`${this.url}/-/ready`);
      await response.body?.cancel();
      return response.ok;
    } catch {
      return false;
    }
  }
}

function find(name: string): string | undefined {
  return FOLDERS.map((folder) => `${folder}/${name}`).find((path) => {
    try {
      return Deno.statSync(path).isFile;
    } catch {
      return false;
    }
  });
}
