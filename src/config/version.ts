import project from "../../deno.json" with { type: "json" };

/** The program's version, from deno.json. */
export const VERSION: string = project.version;

/** The commit that the program was built from; undefined if it runs from source. */
export const COMMIT: string | undefined = builtFrom("@COMMIT@");

/** A build writes the commit into the call above. */
function builtFrom(commit: string): string | undefined {
  return commit.startsWith("@") ? undefined : commit;
}
