/** A real Mosquitto as a child process, and how to come by one. */

import { join } from "node:path";
import { writeToStderr } from "../../log/log.ts";
import { ChildProcess, StartedProcess } from "./child_process.ts";
import { poll } from "../../time/poll.ts";

/** Where Mosquitto is, or what keeps it from being there, and what to do about it. */
type MosquittoResult =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly fault: string; readonly hint: string };

const PROGRAM = "mosquitto";
const APT_GET = "/usr/bin/apt-get";
const INSTALL_HINT = "Install it: sudo apt-get install mosquitto";
const START_TIMEOUT_MS = 10_000;

/** Searched after PATH: it may be unreadable, and ordinary users often have no sbin in it. */
const USUAL_FOLDERS = [
  "/usr/sbin",
  "/usr/local/sbin",
  "/usr/bin",
  "/usr/local/bin",
  "/opt/homebrew/sbin",
];

/** The path of Mosquitto on this machine; undefined if it is not installed. */
export function findMosquitto(): string | undefined {
  const folders = [...pathFolders(), ...USUAL_FOLDERS];
  return folders.map((folder) => join(folder, PROGRAM)).find(isFile);
}

/** Finds Mosquitto, or installs it with apt-get if that exists and we are root. */
export async function ensureMosquitto(): Promise<MosquittoResult> {
  const found = findMosquitto();
  if (found !== undefined) return { ok: true, path: found };
  if (Deno.uid() !== 0 || !isFile(APT_GET)) {
    return { ok: false, fault: "Mosquitto is not installed", hint: INSTALL_HINT };
  }
  const fault = await aptGet("update", "-q") ??
    await aptGet("install", "-y", "-q", "--no-install-recommends", PROGRAM);
  const path = findMosquitto();
  if (path !== undefined) return { ok: true, path };
  return { ok: false, fault: fault ?? "Mosquitto is not installed", hint: INSTALL_HINT };
}

/** One running Mosquitto. */
export class BrokerProcess extends StartedProcess {
  /** Starts Mosquitto; resolves when all its listeners accept, rejects with its output otherwise. */
  static async start(
    configuration: string,
    options: { path?: string } = {},
  ): Promise<BrokerProcess> {
    const path = options.path ?? findMosquitto();
    if (path === undefined) throw new Error(`Mosquitto is not installed. ${INSTALL_HINT}`);
    const listeners = listenersOf(await Deno.readTextFile(configuration));
    const broker = new BrokerProcess(new ChildProcess({ path, args: ["-c", configuration] }));
    try {
      for (const listener of listeners) await broker.#accepts(listener);
    } catch (error) {
      await broker.stop();
      throw new Error(`${(error as Error).message}:\n${broker.log().trim()}`);
    }
    return broker;
  }

  /** All that it has written so far. */
  log(): string {
    return this.child.stdout + this.child.stderr;
  }

  /** Stops it with SIGTERM, or with SIGKILL if that does not work. */
  async stop(): Promise<void> {
    await this.child.stop();
  }

  async #accepts(listener: Deno.ConnectOptions): Promise<void> {
    await poll(`Mosquitto on port ${listener.port}`, async () => {
      if (this.child.running) return await accepts(listener);
      await this.exited;
      throw new Error("Mosquitto ended at once");
    }, { timeoutMs: START_TIMEOUT_MS });
  }
}

function pathFolders(): string[] {
  try {
    return (Deno.env.get("PATH") ?? "").split(":").filter((folder) => folder !== "");
  } catch {
    return []; // the environment is hidden from us
  }
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Runs apt-get, its output on our stderr; returns what went wrong. */
async function aptGet(...args: string[]): Promise<string | undefined> {
  const command = `apt-get ${args.join(" ")}`;
  writeToStderr(`Mosquitto is not installed: ${command}\n`);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", `exec ${APT_GET} "$@" >&2`, APT_GET, ...args],
    env: { DEBIAN_FRONTEND: "noninteractive" },
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  const { success, code } = await child.status;
  return success ? undefined : `Cannot install Mosquitto: ${command} ended with exit code ${code}`;
}

/** Every `listener PORT [ADDRESS]` of a configuration. */
function listenersOf(configuration: string): Deno.ConnectOptions[] {
  const lines = configuration.matchAll(/^[ \t]*listener[ \t]+(\d+)(?:[ \t]+([^\s#]+))?/gm);
  return [...lines].map(([, port, hostname = "127.0.0.1"]) => ({ port: Number(port), hostname }));
}

async function accepts(listener: Deno.ConnectOptions): Promise<boolean> {
  try {
    (await Deno.connect(listener)).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) return false;
    throw error;
  }
}
