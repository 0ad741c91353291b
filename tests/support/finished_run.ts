/** A program that runs to its end. */

import type { ProgramCommand } from "../../src/demo/sandbox/child_process.ts";

/** What it left behind. */
export interface FinishedRun {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program with `stdin`; resolves whatever its exit code is. */
export async function runToEnd(
  { path, args, environment }: ProgramCommand,
  { stdin = "", cwd }: { readonly stdin?: string; readonly cwd?: string | undefined } = {},
): Promise<FinishedRun> {
  const child = new Deno.Command(path, {
    args: [...args],
    env: { ...environment },
    ...(cwd !== undefined && { cwd }),
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
