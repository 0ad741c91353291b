/** Commands at a steady pace, made by a process of its own. */

import { fileURLToPath } from "node:url";
import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";
import { poll } from "../../src/time/poll.ts";
import { freePorts } from "../support/free_ports.ts";
import type { BenchDevice, BenchSite } from "./bench_site.ts";

const PROGRAM = fileURLToPath(new URL("command_load_program.ts", import.meta.url));
const CONNECT_TIMEOUT_MS = 120_000;

/** What the program is told. */
export interface CommandLoadOptions {
  readonly devices: readonly BenchDevice[];
  readonly perSecond: number;
  readonly ports: { readonly mqtt: number; readonly api: number };
  readonly controlPort: number;
  /** The API's key and its authority. */
  readonly key: string;
  readonly ca: string;
}

/** What came of the commands since the start. */
export interface CommandLoadResult {
  asked: number;
  accepted: number;
  /** Copies at the devices. */
  received: number;
  /** The slowest answer. */
  longestMs: number;
}

/** Runs `work` with devices that take commands. */
export async function withCommandLoad<T>(
  site: BenchSite,
  { devices, perSecond }: Pick<CommandLoadOptions, "devices" | "perSecond">,
  work: (load: CommandLoad) => Promise<T>,
): Promise<T> {
  const [controlPort] = freePorts(1) as [number];
  const { layout, ports, folder } = site;
  const options: CommandLoadOptions = {
    ...{ devices, perSecond, ports, controlPort },
    key: (await Deno.readTextFile(layout.apiKey)).trim(),
    ca: await Deno.readTextFile(layout.gatewayCa.certificate),
  };
  const path = `${folder}/command_load.json`;
  await Deno.writeTextFile(path, JSON.stringify(options));
  const child = new ChildProcess({
    path: Deno.execPath(),
    args: ["run", "-q", "--no-prompt", "-P=test", PROGRAM, path],
  });
  try {
    await poll("the devices to be connected", () => {
      if (!child.running) throw new Error(`The load ended at once: ${child.stderr}`);
      return child.stdout.includes("listening");
    }, { timeoutMs: CONNECT_TIMEOUT_MS });
    return await work(new CommandLoad(controlPort));
  } finally {
    await child.stop();
  }
}

/** One running load. */
export class CommandLoad {
  readonly #port: number;

  constructor(port: number) {
    this.#port = port;
  }

  /** Runs `work` while commands are asked for. */
  async during<T>(work: () => Promise<T>): Promise<[T, CommandLoadResult]> {
    await this.#get("start");
    const done = await work();
    return [done, await this.#get("stop")];
  }

  async #get(path: string): Promise<CommandLoadResult> {
    return await (await fetch(`http://127.0.0.1:${this.#port}/${path}`)).json();
  }
}
