import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { PortBlock } from "../../../src/demo/sandbox/free_ports.ts";

const TAKER = fileURLToPath(new URL("../../support/port_taker.ts", import.meta.url));

/** Starts a process that holds `blocks` blocks until it is told to end. */
async function startTaker(blocks: number): Promise<{ ports: number[]; end: () => Promise<void> }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "-q", "--no-prompt", "--allow-net", "--allow-run=cat", TAKER, `${blocks}`],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) text += (await lines.read()).value ?? "\n";
  const end = async () => {
    await child.stdin.close();
    while (!(await lines.read()).done);
    await child.status;
  };
  return { ports: JSON.parse(text), end };
}

Deno.test("processes that reserve at the same time get different ports", async () => {
  const takers = await Promise.all([startTaker(8), startTaker(8)]);
  const block = PortBlock.reserve();
  const ports = [...takers.flatMap(({ ports }) => ports), ...block.take(20)];
  assert.equal(ports.length, 17 * 20);
  assert.equal(new Set(ports).size, ports.length);
  assert.ok(ports.every((port) => port > 10_000 && port < 32_768));
  block.close();
  for (const { end } of takers) await end();
});

Deno.test("a port of a block comes again only after all the others, and not while it is used", () => {
  const block = PortBlock.reserve();
  const [used, ...others] = block.take(99);
  assert.equal(new Set([used, ...others]).size, 99);
  const listener = Deno.listen({ port: used!, hostname: "127.0.0.1" });
  assert.throws(() => block.take(99), /no 99 free ports/);
  assert.ok(!block.take(98).includes(used!));
  listener.close();
  block.close();
  block.close();
});
