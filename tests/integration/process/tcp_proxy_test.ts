import assert from "node:assert/strict";
import { freePorts } from "../../support/free_ports.ts";
import { poll } from "../../../src/time/poll.ts";
import { ClientAddresses } from "../../../src/process/client_addresses.ts";
import { TcpProxy, type Upstream } from "../../../src/process/tcp_proxy.ts";

const LOOPBACK = "127.0.0.1";

/** Stands behind a door: says its name to each caller, and then what the caller says. */
class Echo implements Upstream, Disposable {
  readonly callers = new Map<number, string>();
  readonly port: Promise<number>;
  readonly #listener = Deno.listen({ hostname: LOOPBACK, port: 0 });

  constructor(name: string) {
    this.port = Promise.resolve(this.#listener.addr.port);
    this.#echo(new TextEncoder().encode(name));
  }

  connected(port: number, address: string): void {
    this.callers.set(port, address);
  }

  disconnected(port: number): void {
    this.callers.delete(port);
  }

  [Symbol.dispose](): void {
    this.#listener.close();
  }

  async #echo(name: Uint8Array): Promise<void> {
    for await (const connection of this.#listener) {
      await connection.write(name);
      connection.readable.pipeTo(connection.writable).catch(() => {});
    }
  }
}

async function withDoor(
  work: (door: TcpProxy, call: () => Promise<Deno.TcpConn>) => Promise<void>,
  options: { most?: number } = {},
): Promise<void> {
  const [port] = freePorts(1) as [number];
  const calls: Deno.TcpConn[] = [];
  using door = new TcpProxy({ host: LOOPBACK, port }, { ...options, log: () => {} });
  try {
    await work(door, async () => {
      const call = await Deno.connect({ hostname: LOOPBACK, port });
      calls.push(call);
      return call;
    });
  } finally {
    for (const call of calls) call.close();
  }
}

/** As many bytes as are asked for, or fewer where the connection ends. */
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

Deno.test("Door brings every byte both ways, and tells whose connection it is", async () => {
  using echo = new Echo("a");
  await withDoor(async (door, call) => {
    door.switchTo(echo);
    const caller = await call();
    assert.equal(await read(caller, 1), "a");
    assert.deepEqual([...echo.callers.values()], [LOOPBACK]);
    const text = "0123456789".repeat(50_000);
    const [heard] = await Promise.all([
      read(caller, text.length),
      new Blob([text]).stream().pipeTo(caller.writable, { preventClose: true }),
    ]);
    assert.ok(heard === text);
    await caller.closeWrite();
    assert.equal(await read(caller, 1), "");
    await poll("its end", () => echo.callers.size === 0);
  });
});

Deno.test("Door leads new connections to the next host, and leaves the others where they are", async () => {
  using first = new Echo("1");
  using second = new Echo("2");
  await withDoor(async (door, call) => {
    door.switchTo(first);
    const before = await call();
    assert.equal(await read(before, 1), "1");
    door.switchTo(second);
    assert.equal(await read(await call(), 1), "2");
    await before.write(new Uint8Array([0x33]));
    assert.equal(await read(before, 1), "3");
  });
});

Deno.test("Door ends the oldest connection where too many are open", async () => {
  using echo = new Echo("a");
  await withDoor(async (door, call) => {
    door.switchTo(echo);
    const [oldest, next] = [await call(), await call()];
    assert.equal(await read(oldest, 1) + await read(next, 1), "aa");
    assert.equal(await read(await call(), 1), "a");
    assert.equal(await read(oldest, 1), "");
    await next.write(new Uint8Array([0x62]));
    assert.equal(await read(next, 1), "b");
  }, { most: 2 });
});

Deno.test("a connection that is ahead of the word about it waits; one that did not come through the door is nobody's", async () => {
  const callers = new ClientAddresses();
  const address = callers.addressOf(1);
  const nobody = callers.addressOf(2);
  callers.connected(1, "192.0.2.7");
  assert.equal(await address, "192.0.2.7");
  assert.equal(await callers.addressOf(1), "192.0.2.7");
  assert.equal(await nobody, undefined);
});
