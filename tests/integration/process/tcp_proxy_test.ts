import assert from "node:assert/strict";
import { freePorts } from "../../support/free_ports.ts";
import { poll } from "../../../src/time/poll.ts";
import type { ClientConnection } from "../../../src/process/client_addresses.ts";
import { TcpProxy, type Upstream } from "../../../src/process/tcp_proxy.ts";

const LOOPBACK = "127.0.0.1";

/** An upstream that sends each client its name, and then what the client sends. */
class Echo implements Upstream, Disposable {
  /** When it knows a client's address. */
  known = Promise.resolve();
  readonly clients = new Map<number, string>();
  readonly connections: Deno.TcpConn[] = [];
  /** Ports that others could have when it was told of their ends. */
  readonly freeAtEnd: number[] = [];
  readonly port: Promise<number>;
  readonly #listener = Deno.listen({ hostname: LOOPBACK, port: 0 });

  constructor(name: string) {
    this.port = Promise.resolve(this.#listener.addr.port);
    this.#echo(new TextEncoder().encode(name));
  }

  async connected({ port, address }: ClientConnection): Promise<Disposable> {
    this.clients.set(port, address);
    await this.known;
    return {
      [Symbol.dispose]: () => {
        if (!isBound(port)) this.freeAtEnd.push(port);
        this.clients.delete(port);
      },
    };
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }

  async #echo(name: Uint8Array): Promise<void> {
    for await (const connection of this.#listener) {
      this.connections.push(connection);
      await connection.write(name);
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }
  }
}

/** True if the system still has a connection from this port of ours. */
function isBound(port: number): boolean {
  const local = ` 0100007F:${port.toString(16).toUpperCase().padStart(4, "0")} `;
  const { stdout } = new Deno.Command("cat", { args: ["/proc/net/tcp"] }).outputSync();
  return new TextDecoder().decode(stdout).includes(`:${local}`);
}

/** Both ends of a connection through the proxy. */
interface Ends {
  readonly client: Deno.TcpConn;
  readonly upstream: Deno.TcpConn;
}

async function withProxy(
  work: (proxy: TcpProxy, call: () => Promise<Deno.TcpConn>) => Promise<void>,
  options: { maxConnections?: number } = {},
): Promise<void> {
  const [port] = freePorts(1) as [number];
  const calls: Deno.TcpConn[] = [];
  await using proxy = new TcpProxy({ host: LOOPBACK, port }, { ...options, emit: () => {} });
  try {
    await work(proxy, async () => {
      const call = await Deno.connect({ hostname: LOOPBACK, port });
      calls.push(call);
      return call;
    });
  } finally {
    for (const call of calls) close(call);
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // the test has closed it
  }
}

/** As many bytes as are asked for, or fewer if the connection ends. */
async function read(connection: Deno.TcpConn, count: number): Promise<string> {
  const bytes = new Uint8Array(count);
  let length = 0;
  while (length < count) {
    const more = await connection.read(bytes.subarray(length)).catch(() => null);
    if (more === null) break;
    length += more;
  }
  return new TextDecoder().decode(bytes.subarray(0, length));
}

Deno.test("the proxy copies every byte both ways, and tells whose connection it is", async () => {
  using echo = new Echo("a");
  await withProxy(async (proxy, call) => {
    proxy.switchTo(echo);
    const client = await call();
    assert.equal(await read(client, 1), "a");
    assert.deepEqual([...echo.clients.values()], [LOOPBACK]);
    const text = "0123456789".repeat(50_000);
    const [heard] = await Promise.all([
      read(client, text.length),
      new Blob([text]).stream().pipeTo(client.writable, { preventClose: true }),
    ]);
    assert.ok(heard === text);
    await client.closeWrite();
    assert.equal(await read(client, 1), "");
    await poll("its end", () => echo.clients.size === 0);
  });
});

Deno.test("the upstream is told of an end before its port is free, whichever side ends first", async () => {
  const ends: Record<string, (ends: Ends) => Promise<void>> = {
    "the client": async ({ client }) => {
      await client.closeWrite();
      await read(client, 1);
    },
    "the client, by a reset": async ({ client, upstream }) => {
      await upstream.write(new Uint8Array(100_000));
      client.close(); // with bytes that it has not read
    },
    "the upstream": async ({ client, upstream }) => {
      upstream.close();
      await read(client, 1);
      client.close();
    },
  };
  for (const [first, end] of Object.entries(ends)) {
    using echo = new Echo("a");
    await withProxy(async (proxy, call) => {
      proxy.switchTo(echo);
      const client = await call();
      assert.equal(await read(client, 1), "a");
      await end({ client, upstream: echo.connections[0]! });
      await poll("its end", () => echo.clients.size === 0);
      assert.deepEqual(echo.freeAtEnd, [], first);
    });
  }
});

Deno.test("new connections go to the next upstream, and open ones stay with theirs", async () => {
  using first = new Echo("1");
  using second = new Echo("2");
  await withProxy(async (proxy, call) => {
    proxy.switchTo(first);
    const before = await call();
    assert.equal(await read(before, 1), "1");
    proxy.switchTo(second);
    assert.equal(await read(await call(), 1), "2");
    await before.write(new Uint8Array([0x33]));
    assert.equal(await read(before, 1), "3");
  });
});

Deno.test("the oldest connection is closed if too many are open", async () => {
  using echo = new Echo("a");
  await withProxy(async (proxy, call) => {
    proxy.switchTo(echo);
    const [oldest, next] = [await call(), await call()];
    assert.equal(await read(oldest, 1) + await read(next, 1), "aa");
    assert.equal(await read(await call(), 1), "a");
    assert.equal(await read(oldest, 1), "");
    await next.write(new Uint8Array([0x62]));
    assert.equal(await read(next, 1), "b");
  }, { maxConnections: 2 });
});

Deno.test("no byte is forwarded before the upstream knows whose connection it is", async () => {
  using echo = new Echo("a");
  const { promise, resolve } = Promise.withResolvers<void>();
  echo.known = promise;
  await withProxy(async (proxy, call) => {
    proxy.switchTo(echo);
    const client = await call();
    await poll("the notice", () => echo.clients.size === 1);
    let heard = "";
    const reading = read(client, 1).then((text) => heard = text);
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(heard, "");
    resolve();
    assert.equal(await reading, "a");
  });
});

Deno.test("a burst of connections that say nothing leaves no more open than are allowed", async () => {
  using echo = new Echo("a");
  await withProxy(async (proxy, call) => {
    proxy.switchTo(echo);
    const calls = await Promise.all(Array.from({ length: 300 }, call));
    let open = calls.length;
    for (const one of calls) {
      (async () => {
        while (await one.read(new Uint8Array(1)).catch(() => null) !== null);
        open--;
      })();
    }
    await poll("all others to be closed", () => open <= 100 && echo.clients.size <= 100);
    assert.equal(await read(await call(), 1), "a", "a new one gets in");
  }, { maxConnections: 100 });
});
