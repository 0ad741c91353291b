/** Ports for the tests of one file: its block is held from its import until the file has ended. */

import { PortBlock } from "../../src/demo/sandbox/free_ports.ts";

const BLOCK = PortBlock.reserve();

/** Different ports that no other test file and no outgoing connection takes. */
export function freePorts(count: number): number[] {
  return BLOCK.take(count);
}
