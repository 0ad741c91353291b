/** `install`: the files with which systemd runs the gateway. */

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  isPlainPath,
  renderServiceFiles,
  SERVICE_USER,
  type ServiceFile,
} from "../site/systemd_units.ts";
import { printJson } from "./json_output.ts";
import { CommandError, EXIT, note, print as printLine } from "./terminal.ts";

/** What `install` is told. */
interface InstallOptions {
  readonly dir: string;
  /** The path of the program. */
  readonly program: string;
  readonly print?: true;
  /** The root of the file system to write to. */
  readonly prefix?: string;
  readonly json?: true;
}

/** Prints the files, or writes them below a root; overwrites nothing. */
export function install({ dir, program, print, prefix, json }: InstallOptions): void {
  if ((print === undefined) === (prefix === undefined)) {
    throw new CommandError("Either --print or --prefix must be given", {
      exit: EXIT.usage,
      hint: "Give exactly one: --print, or --prefix / (as root; another folder for a package)",
    });
  }
  const site = resolve(dir);
  refuseOddPaths(site, program);
  const files = renderServiceFiles({ program, site });
  if (prefix === undefined) return json ? printJson({ files }) : files.forEach(sayFile);
  const written = writeAll(files, prefix);
  if (json) return printJson({ written });
  for (const path of written) printLine(`Wrote ${path}`);
  if (!existsSync(join(prefix, program))) {
    note(`hint: The unit runs ${program}, which is not there: deno task pack makes that file`);
  }
  note(`Next:
  systemd-sysusers
  install -d -o ${SERVICE_USER} -g ${SERVICE_USER} ${site}
  runuser -u ${SERVICE_USER} -- ${program} init --dir ${site} --host NAME --backend URL
  systemctl daemon-reload
  systemctl enable --now mosquitto secure-iot-gateway`);
}

function refuseOddPaths(...paths: readonly string[]): void {
  const faults = paths.filter((path) => !isPlainPath(path)).map((path) =>
    `Cannot name "${path}" in a unit: it must be an absolute path of letters, digits and . _ + @ -`
  );
  if (faults.length > 0) throw new CommandError(faults, { exit: EXIT.usage });
}

function sayFile({ path, text }: ServiceFile): void {
  printLine(`# ${path}\n${text}`);
}

function writeAll(files: readonly ServiceFile[], prefix: string): readonly string[] {
  const written: string[] = [];
  try {
    for (const { path, text } of files) {
      const target = join(prefix, path);
      Deno.mkdirSync(dirname(target), { recursive: true });
      Deno.writeTextFileSync(target, text, { createNew: true, mode: 0o644 });
      written.push(target);
    }
  } catch (error) {
    for (const path of written) Deno.removeSync(path);
    throw new CommandError(`Cannot install: ${(error as Error).message}`);
  }
  return written;
}
