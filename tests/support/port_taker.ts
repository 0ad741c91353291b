/** Holds as many blocks as it is told to, says their ports, and ends with its stdin. */

import { PortBlock } from "../../src/demo/sandbox/free_ports.ts";

const blocks = Array.from({ length: Number(Deno.args[0]) }, () => PortBlock.reserve());
console.log(JSON.stringify(blocks.flatMap((block) => block.take(20))));
await Deno.stdin.readable.pipeTo(new WritableStream());
