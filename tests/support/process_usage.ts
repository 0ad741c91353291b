/** What a process has used, as Linux counts it (proc(5)). */

import { ChildProcess } from "../../src/demo/sandbox/child_process.ts";

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;

/** CPU time and memory of a process at one moment. */
interface ProcessUsage {
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** Reads them, by `cat`, since Deno lets nobody look into /proc; rejects where it has ended. */
export async function usageOf({ pid }: { readonly pid: number }): Promise<ProcessUsage> {
  const line = await ChildProcess.run({ path: "cat", args: [`/proc/${pid}/stat`] });
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ").map(Number);
  const [user, system, pages] = [fields[11]!, fields[12]!, fields[21]!];
  return {
    cpuMs: (user + system) * 1000 / TICKS_PER_SECOND,
    residentBytes: pages * PAGE_BYTES,
  };
}
