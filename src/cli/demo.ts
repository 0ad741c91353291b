/** `demo`: the whole story in a temporary site. */

import { ensureMosquitto } from "../demo/sandbox/broker_process.ts";
import { inviteToTry, watch } from "../demo/keep.ts";
import { Narrator } from "../demo/narrator.ts";
import { tellNodesStory } from "../demo/nodes_story.ts";
import { NodesSandbox } from "../demo/sandbox/nodes_sandbox.ts";
import { findPostgres } from "../demo/sandbox/postgres_server.ts";
import { Sandbox } from "../demo/sandbox/sandbox.ts";
import { stopInGoodOrder, tellStory } from "../demo/story.ts";
import { printJson } from "./json_output.ts";
import { CommandError, EXIT, hasColour, print } from "./terminal.ts";

const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What `demo` may be told. */
interface DemoOptions {
  readonly keep?: true;
  readonly nodes?: number;
  readonly json?: true;
}

/** Tells the story and checks every claim in it; fails if one does not hold. */
export async function demo(options: DemoOptions): Promise<void> {
  const { keep, json, nodes } = options;
  if (keep && json) {
    throw new CommandError("Cannot take both --keep and --json", { exit: EXIT.usage });
  }
  if (nodes !== undefined && nodes !== 2) {
    throw new CommandError("--nodes takes 2: that many gateways are in the story", {
      exit: EXIT.usage,
    });
  }
  if (keep && nodes) {
    throw new CommandError("Cannot take both --keep and --nodes", { exit: EXIT.usage });
  }
  const mosquitto = await ensureMosquitto();
  if (!mosquitto.ok) throw new CommandError(mosquitto.fault, { hint: mosquitto.hint });
  const write = json ? () => {} : print;
  const narrator = new Narrator({ write, colour: hasColour(Deno.stdout) });
  const stop = stopSignal();
  if (nodes) return await demoOfNodes(narrator, { ...options, stop });
  const sandbox = await Sandbox.open();
  try {
    await play(sandbox, narrator, { ...options, stop });
  } finally {
    narrator.hush();
    await sandbox.close();
  }
}

/** The same of two gateways on one store. */
async function demoOfNodes(
  narrator: Narrator,
  options: DemoOptions & { readonly stop: Promise<void> },
): Promise<void> {
  if (findPostgres() === undefined) {
    throw new CommandError("PostgreSQL is not installed", {
      hint: "Install it: sudo apt-get install postgresql",
    });
  }
  const startedMs = performance.now();
  if (!options.json) print("SecureIoTGateway: two gateways on one store, in a temporary site");
  const sandbox = await NodesSandbox.open();
  const interrupted = options.stop.then(() => {
    throw new CommandError("The demo was interrupted");
  });
  try {
    const story = tellOf(() => tellNodesStory(sandbox, narrator), sandbox, narrator);
    await Promise.race([story, interrupted]);
    sayResult(narrator, { ...options, tookMs: performance.now() - startedMs });
  } finally {
    interrupted.catch(() => {});
    narrator.hush();
    await sandbox.close();
  }
  if (narrator.failed > 0) throw new CommandError("The demo did not go as told");
}

/** The story, its result, and what comes after it with `--keep`. */
async function play(
  sandbox: Sandbox,
  narrator: Narrator,
  options: DemoOptions & { readonly stop: Promise<void> },
): Promise<void> {
  const startedMs = performance.now();
  if (!options.json) {
    print("SecureIoTGateway: the whole story, in a temporary site, with a real Mosquitto");
  }
  const interrupted = options.stop.then(() => {
    throw new CommandError("The demo was interrupted");
  });
  const complete = await Promise.race([tell(sandbox, narrator, options), interrupted]);
  sayResult(narrator, { ...options, tookMs: performance.now() - startedMs });
  interrupted.catch(() => {}); // from here on, a signal is the way to end
  if (options.keep && complete) {
    await sandbox.closeDevices();
    inviteToTry(sandbox, narrator);
    await watch(sandbox, narrator, options);
  }
  if (narrator.failed > 0) throw new CommandError("The demo did not go as told");
}

/** True if the story came to its end; an error on the way counts as a failed claim. */
async function tell(
  sandbox: Sandbox,
  narrator: Narrator,
  options: DemoOptions,
): Promise<boolean> {
  return await tellOf(
    async () => {
      await tellStory(sandbox, narrator);
      if (!options.keep) await stopInGoodOrder(sandbox, narrator);
    },
    sandbox,
    narrator,
  );
}

async function tellOf(
  story: () => Promise<void>,
  sandbox: { readonly lastWords: Readonly<Record<string, string>> },
  narrator: Narrator,
): Promise<boolean> {
  try {
    await story();
    return true;
  } catch (error) {
    narrator.check("The story comes to its end", false, (error as Error).message);
    for (const [who, words] of Object.entries(sandbox.lastWords)) {
      if (words === "") continue;
      narrator.tell(`Last words of the ${who}:`);
      narrator.quote(words);
    }
    return false;
  }
}

function sayResult(
  { claims, failed }: Narrator,
  { json, tookMs }: DemoOptions & { readonly tookMs: number },
): void {
  if (json) return printJson({ claims, failed, tookMs: Math.round(tookMs) });
  const verdict = failed === 0 ? "everything was as told" : "NOT everything was as told";
  print("");
  print(
    `Checks: ${claims.length - failed} ok, ${failed} failed, in ${(tookMs / 1000).toFixed(1)} s`,
  );
  print(`Result: ${verdict}`);
}

/** Resolves at the first signal to stop; further ones change nothing. */
function stopSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, resolve);
  });
}
