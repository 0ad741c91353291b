/** The machine that a run was made on. */

import { procText } from "./process_stats.ts";

/** What a reader needs to know of it. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly deno: string;
}

/** Describes this machine. */
export async function describeMachine(): Promise<Machine> {
  const cpuinfo = await procText("/proc/cpuinfo");
  return {
    processor: /^model name\s*:\s*(.+)$/m.exec(cpuinfo)?.[1] ?? Deno.build.arch,
    cores: navigator.hardwareConcurrency,
    memoryGib: Deno.systemMemoryInfo().total / 2 ** 30,
    system: `${Deno.build.os} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
  };
}

/** The same as a sentence. */
export function machineText({ processor, cores, memoryGib, system, deno }: Machine): string {
  return `${processor}, ${cores} cores, ${Math.round(memoryGib)} GiB; ${system}; Deno ${deno}`;
}
