/** A TCP proxy that can take away what a server answers: what was asked is done, and nobody hears. */

/** The proxy. */
export class ReplyEater {
  readonly port: number;
  /** True: from the next question on, the answer is taken away and the connection ends. */
  eats = false;
  /** Answers that were taken away. */
  eaten = 0;
  readonly #listener: Deno.Listener;
  readonly #open = new Set<Deno.Conn>();
  readonly #work: Promise<void>;

  constructor(toPort: number) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = (this.#listener.addr as Deno.NetAddr).port;
    this.#work = this.#accept(toPort);
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#open) end(connection);
    await this.#work;
  }

  async #accept(port: number): Promise<void> {
    const lines: Promise<void>[] = [];
    for await (const client of this.#listener) {
      const server = await Deno.connect({ hostname: "127.0.0.1", port }).catch(() => undefined);
      if (server === undefined) {
        end(client);
        continue;
      }
      this.#open.add(client).add(server);
      lines.push(this.#forward(client, server));
    }
    await Promise.all(lines);
  }

  async #forward(client: Deno.Conn, server: Deno.Conn): Promise<void> {
    let isEating = false;
    const asks = pass(client, server, () => {
      isEating ||= this.eats;
      return true;
    });
    const answers = pass(server, client, () => {
      if (isEating) {
        this.eats = false;
        this.eaten++;
      }
      return !isEating;
    });
    await Promise.race([asks, answers]);
    end(client);
    end(server);
    await Promise.all([asks, answers]);
    this.#open.delete(client);
    this.#open.delete(server);
  }
}

/** Passes on until one side ends, or `may` says no. */
async function pass(from: Deno.Conn, to: Deno.Conn, may: () => boolean): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (let read; (read = await from.read(buffer)) !== null;) {
      if (!may()) return;
      for (let at = 0; at < read;) at += await to.write(buffer.subarray(at, read));
    }
  } catch {
    // it was closed
  }
}

function end(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch {
    // it was closed
  }
}
