/** Prism between a client and a server: an OpenAPI document decides what may pass. */

import { fileURLToPath } from "node:url";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "./free_ports.ts";
import { fetchPackage } from "./npm_programs.ts";

const PRISM = "@stoplight/prism-cli@5.16.0";
const START_TIMEOUT_MS = 60_000;

/** npm fetches it, some 200 packages: only CI asks for it. */
export const WANTS_PROXY: boolean = Deno.env.get("TEST_PRISM") === "1";

/** One running proxy. */
export class ValidatingProxy {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #child: ChildProcess;

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
  }

  /** Starts it; `document` is a name in docs/, `ca` the file of the server's authority. */
  static async start(
    document: string,
    upstream: string,
    options: { readonly ca?: string } = {},
  ): Promise<ValidatingProxy> {
    const prism = `${await fetchPackage(PRISM)}/.bin/prism`;
    const path = fileURLToPath(new URL(`../../docs/${document}`, import.meta.url));
    const [port] = freePorts(1) as [number];
    const child = new ChildProcess({
      path: "node",
      args: [prism, "proxy", path, upstream, "--errors", "--port", String(port)],
      environment: {
        SCARF_ANALYTICS: "false",
        ...(options.ca && { NODE_EXTRA_CA_CERTS: options.ca }),
      },
    });
    const proxy = new ValidatingProxy(`http://127.0.0.1:${port}`, child);
    await poll("Prism to listen", () => {
      if (!child.running) throw new Error(child.stdout + child.stderr);
      return child.stdout.includes("is listening");
    }, { timeoutMs: START_TIMEOUT_MS });
    return proxy;
  }

  /** What it has said of requests and answers. */
  get log(): string {
    return this.#child.stdout;
  }

  /** Stops it. */
  async stop(): Promise<void> {
    await this.#child.stop();
  }
}
