/** The programs that a build runs. */

/** A build that cannot go on; said in one line, with a hint. */
export class BuildFailure extends Error {
  override readonly name = "BuildFailure";
  readonly hint: string | undefined;

  constructor(fault: string, hint?: string) {
    super(fault);
    this.hint = hint;
  }
}

/** Runs a program to its end; returns its stdout, or throws a `BuildFailure` with its stderr. */
export async function outputOf(
  path: string,
  args: readonly string[],
  options: { readonly cwd?: string } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const command = new Deno.Command(path, {
    args: [...args],
    env: { NO_COLOR: "1" },
    stdin: "null",
    ...options,
  });
  const output = await command.output().catch((error) => {
    if (error instanceof Deno.errors.NotFound) throw new BuildFailure(`There is no ${path} here`);
    throw error;
  });
  if (output.success) return output.stdout;
  const why = new TextDecoder().decode(output.stderr).trim();
  throw new BuildFailure(`${path} ${args[0]} failed: ${why}`);
}

/** Runs a build to its end and returns its exit code; a failure is said, not thrown. */
export async function runBuild(build: () => Promise<void>): Promise<number> {
  try {
    await build();
    return 0;
  } catch (error) {
    if (!(error instanceof BuildFailure)) throw error;
    console.error(`error: ${error.message}`);
    if (error.hint !== undefined) console.error(`hint: ${error.hint}`);
    return 1;
  }
}
