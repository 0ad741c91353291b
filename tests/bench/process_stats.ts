/** What processes have used, as Linux counts it (proc(5)). */

import { sum } from "./statistics.ts";

const TICKS_PER_SECOND = 100;
const PAGES_PER_MIB = 256;
const KIB_PER_MIB = 1024;

/** CPU time and memory of one process at one moment, its children included, also those that ended. */
export interface ProcessStats {
  readonly cpuMs: number;
  readonly rssMib: number;
  /** The most it ever was. */
  readonly rssPeakMib: number;
}

/** Reads the figures of processes and their children; zeros for one that has ended. */
export async function processStats(...pids: readonly number[]): Promise<ProcessStats[]> {
  const all = await readProcesses();
  return pids.map((pid) => {
    const family = familyOf(pid, all);
    return {
      cpuMs: sum(family.map(({ ticks }) => ticks)) * 1000 / TICKS_PER_SECOND,
      rssMib: sum(family.map(({ pages }) => pages)) / PAGES_PER_MIB,
      rssPeakMib: sum(family.map(({ peakKib }) => peakKib)) / KIB_PER_MIB,
    };
  });
}

/** A file below /proc, as text; by `cat`, since a sandboxed program may not read them itself. */
export async function procText(files: string): Promise<string> {
  const args = ["-c", `cat ${files} 2>/dev/null; true`];
  const { stdout } = await new Deno.Command("/bin/sh", { args }).output();
  return new TextDecoder().decode(stdout);
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly ticks: number;
  readonly pages: number;
  readonly peakKib: number;
}

async function readProcesses(): Promise<Process[]> {
  const [stat, status] = await Promise.all([
    procText("/proc/[0-9]*/stat"),
    procText("/proc/[0-9]*/status"),
  ]);
  const peaks = new Map(
    [...status.matchAll(/^Pid:\s+(\d+)\n(?:.+\n)*?VmHWM:\s+(\d+) kB$/gm)]
      .map(([, pid, kib]) => [Number(pid), Number(kib)]),
  );
  return stat.trim().split("\n").map((line) => {
    const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
    const pid = parseInt(line);
    return {
      pid,
      parent: fields[1]!,
      ticks: sum(fields.slice(11, 15)),
      pages: fields[21]!,
      peakKib: peaks.get(pid) ?? 0,
    };
  });
}

function familyOf(pid: number, all: readonly Process[]): Process[] {
  const own = all.filter((one) => one.pid === pid);
  const children = all.filter((one) => one.parent === pid);
  return [...own, ...children.flatMap((child) => familyOf(child.pid, all))];
}
