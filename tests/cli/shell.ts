/** The program as a shell sees it: arguments in; exit code, stdout and stderr out. */

import { programCommand } from "../../src/demo/gateway_process.ts";

/** What a run of the program left behind. */
export interface Shell {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program to its end. */
export async function shell(args: readonly string[], stdin = ""): Promise<Shell> {
  const { path, args: own } = programCommand(...args);
  const child = new Deno.Command(path, {
    args: [...own],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(stdin)).catch(() => {});
  await writer.close().catch(() => {});
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}
