/** Something that listens in a broker's place, and is none. */

import type { SiteLayout } from "../../src/site/layout.ts";

/** MQTT 5: a CONNACK with reason 0 and no properties, and a PINGRESP. */
const CONNACK = new Uint8Array([0x20, 3, 0, 0, 0]);
const PINGRESP = new Uint8Array([0xd0, 0]);
const CONNECT = 1;
const PINGREQ = 12;

/** Accepts connections on a port of this machine. */
export class DeafListener {
  /** How many connections it has had. */
  accepted = 0;
  readonly #listener: Deno.Listener;
  readonly #connections = new Set<Deno.Conn>();
  readonly #work: Promise<void>;

  private constructor(listener: Deno.Listener, serve: (connection: Deno.Conn) => Promise<void>) {
    this.#listener = listener;
    this.#work = this.#accept(serve);
  }

  /** Accepts and never says a word. */
  static silent(port: number): DeafListener {
    return new DeafListener(Deno.listen({ hostname: "127.0.0.1", port }), drain);
  }

  /** Takes clients in, answers their pings, and does nothing that they ask for. */
  static idle(port: number, layout: SiteLayout): DeafListener {
    const cert = Deno.readTextFileSync(layout.broker.certificate);
    const key = Deno.readTextFileSync(layout.broker.key);
    return new DeafListener(Deno.listenTls({ hostname: "127.0.0.1", port, cert, key }), beIdle);
  }

  async close(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) connection.close();
    await this.#work;
  }

  async #accept(serve: (connection: Deno.Conn) => Promise<void>): Promise<void> {
    const served: Promise<void>[] = [];
    for await (const connection of this.#listener) {
      this.accepted++;
      this.#connections.add(connection);
      served.push(serve(connection).catch(() => {}).finally(() => this.#forget(connection)));
    }
    await Promise.all(served);
  }

  #forget(connection: Deno.Conn): void {
    this.#connections.delete(connection);
    try {
      connection.close();
    } catch {
      // closed already
    }
  }
}

async function drain(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null);
}

/** Every packet comes in a chunk of its own here, since each waits for an answer. */
async function beIdle(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  while (await connection.read(buffer) !== null) {
    const kind = buffer[0]! >> 4;
    if (kind === CONNECT) await connection.write(CONNACK);
    if (kind === PINGREQ) await connection.write(PINGRESP);
  }
}
