/** Where a process listens, as the kernel has it (proc(5)). */

import { programOutput } from "./program_output.ts";

/** The state LISTEN in /proc/net/tcp. */
const LISTEN = "0A";

/** TCP ports on which a process listens; undefined if we may not see that. */
export async function listeningPorts(pid: number): Promise<number[] | undefined> {
  const descriptors = await programOutput("ls", ["-l", `/proc/${pid}/fd`]);
  if (descriptors === undefined) return undefined;
  const inodes = new Set([...descriptors.matchAll(/socket:\[(\d+)\]/g)].map(([, inode]) => inode));
  const tables = await programOutput("cat", [`/proc/${pid}/net/tcp`, `/proc/${pid}/net/tcp6`]);
  if (tables === undefined) return undefined;
  const ports = tables.split("\n").map((line) => line.trim().split(/\s+/))
    .filter(([, , , state, , , , , , inode]) => state === LISTEN && inodes.has(inode))
    .map(([, local = ""]) => parseInt(local.split(":")[1] ?? "", 16));
  return [...new Set(ports)].sort((one, other) => one - other);
}
