/** Ports that nobody uses. */

/** Below those that systems give to whoever asks for any port, a client's connection among them. */
const FIRST = 10_000;
const LAST = 32_000;

const GIVEN = new Set<number>();

/** Finds `count` different free TCP ports; they are not held, so use them soon. */
export function freePorts(count: number): number[] {
  return Array.from({ length: count }, freePort);
}

/** One that is free, and was given to nobody else in this process. */
function freePort(): number {
  while (true) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST));
    if (GIVEN.has(port) || !isFree(port)) continue;
    GIVEN.add(port);
    return port;
  }
}

function isFree(port: number): boolean {
  try {
    Deno.listen({ port }).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return false;
    throw error;
  }
}
