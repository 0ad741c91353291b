/**
 * Ports that no other process takes.
 *
 * The rules are:
 * - ports come in blocks; a process that holds a block listens on its first port, the guard, for as
 *   long as it uses the others: no two processes that reserve here can have the same block;
 * - a block ends below the ports that the system gives to outgoing connections;
 * - within a block a port is given out again only after all the others.
 */

const FIRST_PORT = 10_000;
const BLOCK_PORTS = 100;

/** Where Linux gives out ports if nothing else is set; other systems begin above it. */
const SYSTEM_FIRST_PORT = 32_768;

/** The ports of one block, while it is held. */
export class PortBlock {
  readonly #guard: Deno.Listener;
  readonly #first: number;
  #next = 1;
  #closed = false;

  private constructor(guard: Deno.Listener, first: number) {
    this.#guard = guard;
    this.#first = first;
  }

  /** Takes a block that no other process holds. */
  static reserve(): PortBlock {
    const blocks = Math.floor((systemFirstPort() - FIRST_PORT) / BLOCK_PORTS);
    const start = Math.floor(Math.random() * blocks);
    for (let i = 0; i < blocks; i++) {
      const first = FIRST_PORT + (start + i) % blocks * BLOCK_PORTS;
      const guard = listenOn(first, "127.0.0.1");
      if (guard !== undefined) return new PortBlock(guard, first);
    }
    throw new Error("Every block of ports is taken");
  }

  /** Different ports of the block on which nothing listens now. */
  take(count: number): number[] {
    const ports: number[] = [];
    for (let tries = 1; tries < BLOCK_PORTS && ports.length < count; tries++) {
      const port = this.#first + this.#next;
      this.#next = this.#next % (BLOCK_PORTS - 1) + 1;
      if (isFree(port)) ports.push(port);
    }
    if (ports.length < count) throw new Error(`There are no ${count} free ports in the block`);
    return ports;
  }

  /** Gives the block back; may be called again. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#guard.close();
  }
}

/** The first port that the system itself may give to a connection. */
function systemFirstPort(): number {
  try {
    const args = ["/proc/sys/net/ipv4/ip_local_port_range"];
    const { stdout } = new Deno.Command("cat", { args, stderr: "null" }).outputSync();
    const first = Number.parseInt(new TextDecoder().decode(stdout));
    return first >= FIRST_PORT + BLOCK_PORTS ? first : SYSTEM_FIRST_PORT;
  } catch {
    return SYSTEM_FIRST_PORT; // a system without cat
  }
}

function isFree(port: number): boolean {
  const listener = listenOn(port, "0.0.0.0");
  listener?.close();
  return listener !== undefined;
}

function listenOn(port: number, hostname: string): Deno.Listener | undefined {
  try {
    return Deno.listen({ port, hostname });
  } catch (error) {
    if (error instanceof Deno.errors.AddrInUse) return undefined;
    throw error;
  }
}
