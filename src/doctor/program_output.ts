/** What a program of the system prints. */

/** `df` waits for a file server that is gone, `timedatectl` for a bus: they have so long, ms. */
const TIMEOUT_MS = 5_000;

/** Its output; undefined if it fails, is not there or does not end in time. */
export async function programOutput(
  program: string,
  args: readonly string[],
  timeoutMs: number = TIMEOUT_MS,
): Promise<string | undefined> {
  try {
    const { success, stdout } = await new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stderr: "null",
      signal: AbortSignal.timeout(timeoutMs),
    }).output();
    return success ? new TextDecoder().decode(stdout) : undefined;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}
