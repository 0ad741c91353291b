/** The text at the beginning of a packed program, that `sh` runs. Pure. */

import project from "../../deno.json" with { type: "json" };
import template from "./launcher.sh" with { type: "text" };
import { RUNTIME_FLAGS } from "../process/runtime_flags.ts";
import { permissionFlags } from "./permission_flags.ts";

/** What the launcher must know of the bytes that follow it. */
interface LauncherFacts {
  readonly commit: string;
  readonly machine: string;
  /** Of Deno's package as published: a gzipped tar. */
  readonly archiveBytes: number;
  /** Of the program, gzipped. */
  readonly packedBytes: number;
  /** What is unpacked. */
  readonly deno: UnpackedFile;
  readonly program: UnpackedFile;
}

/** A file as it must be once it is unpacked. */
interface UnpackedFile {
  readonly bytes: number;
  readonly sha256: string;
}

/** Length of every launcher, so that it knows where the rest of the file begins. */
const HEAD_BYTES = 8192;

/** Commands that start other programs. */
const SUBPROCESS_COMMANDS = ["demo"];

/** Commands that tell the broker, or the gateway, of new files by a signal. */
const OPERATOR_COMMANDS = ["certificate", "device", "doctor", "lists", "rotate-authority", "site"];

/** The packed program needs nothing from outside: no configuration, no package, no module. */
const CLOSED = ["-q", "--no-config", "--no-lock", "--no-npm", "--no-remote"];

const START = [...CLOSED, ...RUNTIME_FLAGS];

/** What is added to the environment: one heap for the C code of all threads, which takes less. */
export const START_ENVIRONMENT = { MALLOC_ARENA_MAX: "1" } as const;

/** What follows `deno run`, for most commands. */
export const START_FLAGS: readonly string[] = [...START, ...permissionFlags("gateway")];

/** Renders the launcher, filled up to its fixed length. */
export function renderLauncher(facts: LauncherFacts): Uint8Array {
  const bytes = new Uint8Array(HEAD_BYTES).fill("\n".charCodeAt(0));
  const text = fill(valuesOf(facts));
  const { read } = new TextEncoder().encodeInto(text, bytes);
  if (read !== text.length) throw new Error(`The launcher has more than ${HEAD_BYTES} bytes`);
  return bytes;
}

function valuesOf(facts: LauncherFacts): Readonly<Record<string, string | number>> {
  const { commit, machine, archiveBytes, packedBytes, deno, program } = facts;
  return {
    version: project.version,
    commit,
    machine,
    // Another Deno or another program is another folder.
    name: `${project.version}-${deno.sha256.slice(0, 8)}${program.sha256.slice(0, 8)}`,
    head_bytes: HEAD_BYTES,
    archive_bytes: archiveBytes,
    packed_bytes: packedBytes,
    deno_bytes: deno.bytes,
    deno_sha256: deno.sha256,
    program_bytes: program.bytes,
    program_sha256: program.sha256,
    environment: Object.entries(START_ENVIRONMENT).map((pair) => pair.join("=")).join(" "),
    subprocess_commands: SUBPROCESS_COMMANDS.join(" | "),
    subprocess_flags: words([...START, ...permissionFlags("demo")]),
    operator_commands: OPERATOR_COMMANDS.join(" | "),
    operator_flags: words([...START, ...permissionFlags("operator")]),
    flags: words(START_FLAGS),
  };
}

/** Quoted, so that no `*` in them is taken for files. */
function words(flags: readonly string[]): string {
  return flags.map((flag) => /^[\w=-]+$/.test(flag) ? flag : `'${flag}'`).join(" ");
}

function fill(values: Readonly<Record<string, string | number>>): string {
  return template.replaceAll(/\{\{(\w+)\}\}/g, (_place, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`Nothing is named "${name}" in the launcher`);
    return String(value);
  });
}
