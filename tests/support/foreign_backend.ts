/** Backends that others wrote: programs that know nothing of the gateway, behind a live one. */

import { ChildProcess, type ProgramCommand } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "./free_ports.ts";
import { type LiveSite, type LiveSiteOptions, withLiveSite } from "./live_site.ts";

const START_TIMEOUT_MS = 60_000;

/** One port, and the program that listens at it. */
export class ForeignBackend {
  readonly port: number;
  #child: ChildProcess | undefined;

  constructor(port: number) {
    this.port = port;
  }

  /** What the program has written to stdout so far. */
  get stdout(): string {
    return this.#child?.stdout ?? "";
  }

  /** Starts a program in place of the one before; resolves once it listens. */
  async start(command: ProgramCommand): Promise<void> {
    await this.stop();
    const child = this.#child = new ChildProcess(command);
    await poll(`${command.path} to listen`, async () => {
      if (!child.running) throw new Error(`It ended at once: ${child.stdout}${child.stderr}`);
      return await isListening(this.port);
    }, { timeoutMs: START_TIMEOUT_MS });
  }

  /** Ends it. */
  async stop(): Promise<void> {
    await this.#child?.stop();
  }
}

/** A live site whose gateway is told of a port; what listens there is up to `work`. */
export async function withForeignBackend(
  work: (site: LiveSite, backend: ForeignBackend) => Promise<void>,
  options: LiveSiteOptions & {
    /** Of the backend's URL: `http://127.0.0.1` if it is not given, and what follows the port. */
    readonly origin?: string;
    readonly base?: string;
  } = {},
): Promise<void> {
  const { origin = "http://127.0.0.1", base = "" } = options;
  const [port] = freePorts(1) as [number];
  const settings = { BACKEND_URL: `${origin}:${port}${base}`, ...options.settings };
  await withLiveSite(async (site) => {
    const backend = new ForeignBackend(port);
    try {
      await work(site, backend);
    } finally {
      await backend.stop();
    }
  }, { ...options, settings });
}

/** Waits until /readyz says, under `degraded`, why readings wait. */
export async function waitsBecause(site: LiveSite, reason: RegExp): Promise<void> {
  await poll(`/readyz to say ${reason}`, async () => {
    const { degraded } = await (await site.api("/readyz")).json();
    return reason.test(degraded.join());
  });
}

async function isListening(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
