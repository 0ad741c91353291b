/**
 * A Mosquitto configuration as Mosquitto itself reads it.
 *
 * The rules are:
 * - a line is a keyword, blanks, and a value; if one comes twice, the last one holds;
 * - lines below a `listener` line belong to that listener, also in included files;
 * - `include_dir` reads every `*.conf` of a folder in the order of their names, at that place.
 */

import { join } from "node:path";
import { readText } from "../../config/operator_file.ts";

/** A line with a value, and where it is. */
export interface Line {
  readonly keyword: string;
  readonly value: string;
  /** File and line number. */
  readonly place: string;
}

/** One door of the broker. */
export interface Listener {
  /** 0: a socket in the file system. */
  readonly port: number;
  /** Undefined: every address of the machine. */
  readonly address: string | undefined;
  readonly place: string;
  readonly lines: ReadonlyMap<string, Line>;
}

/** A whole configuration. */
export interface MosquittoConf {
  /** The lines above the first listener, by keyword. */
  readonly main: ReadonlyMap<string, Line>;
  readonly listeners: readonly Listener[];
}

/** Reads a configuration with everything that it includes. */
export async function parseMosquittoConf(path: string): Promise<MosquittoConf> {
  const main = new Map<string, Line>();
  const listeners: (Listener & { lines: Map<string, Line> })[] = [];
  for (const line of await linesOf(path, { included: false })) {
    if (line.keyword === "listener") {
      const [port = "", address] = line.value.split(/ +/);
      listeners.push({ port: Number(port), address, place: line.place, lines: new Map() });
    } else {
      (listeners.at(-1)?.lines ?? main).set(line.keyword, line);
    }
  }
  return { main, listeners };
}

async function linesOf(path: string, { included }: { included: boolean }): Promise<Line[]> {
  const lines: Line[] = [];
  for (const [i, text] of (await readText(path)).split("\n").entries()) {
    const match = /^ *([^# \r]\S*) *(.*?)\s*$/.exec(text);
    if (!match) continue;
    const [, keyword = "", value = ""] = match;
    if (keyword === "include_dir" && !included) lines.push(...await includedLines(value));
    else lines.push({ keyword, value, place: `${path}:${i + 1}` });
  }
  return lines;
}

async function includedLines(folder: string): Promise<Line[]> {
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) if (name.endsWith(".conf")) names.push(name);
  const files = await Promise.all(
    names.sort().map((name) => linesOf(join(folder, name), { included: true })),
  );
  return files.flat();
}
