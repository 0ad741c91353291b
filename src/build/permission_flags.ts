/** deno.json's permission sets as the flags that mean the same, for use without deno.json. */

import project from "../../deno.json" with { type: "json" };

/** One permission of a set: all of it, a list, or a list beyond which nothing is even refused. */
type Permission =
  | boolean
  | readonly string[]
  | { readonly allow: readonly string[]; readonly ignore: boolean };

/** The name of a permission set in deno.json. */
type PermissionSetName = keyof typeof project.permissions;

/** The flags of `deno run` and `deno compile` for one permission set. */
export function permissionFlags(set: PermissionSetName): string[] {
  const permissions: Readonly<Record<string, Permission>> = project.permissions[set];
  return [
    ...["--no-prompt", "--deny-import"],
    ...project.unstable.map((feature) => `--unstable-${feature}`),
    ...Object.entries(permissions).flatMap(([name, permission]) => flagsOf(name, permission)),
  ];
}

function flagsOf(name: string, permission: Permission): string[] {
  if (permission === true) return [`--allow-${name}`];
  if (permission === false) return [];
  if ("allow" in permission) return [`--ignore-${name}`, `--allow-${name}=${permission.allow}`];
  return [`--allow-${name}=${permission}`];
}
