/**
 * The address of each client behind the proxy, by both ends of the inner connection: the job of
 * HAProxy's PROXY protocol. The proxy forwards nothing of a connection before its address is here.
 *
 * One end alone is not enough: two listeners may have a connection from the same local port. Nor
 * are both for the end, which may be told after the system has given the port to another.
 */

/** One inner connection, and whose it is. */
export interface ClientConnection {
  /** Where the upstream listens. */
  readonly listener: number;
  /** The local port of the proxy's end. */
  readonly port: number;
  /** The client's. */
  readonly address: string;
}

/** The addresses of all open connections, each of which has a number of its own. */
export class ClientAddresses {
  readonly #connections = new Map<number, ClientConnection>();
  /** The latest connection between two ports. */
  readonly #latest = new Map<string, number>();

  connected(number: number, connection: ClientConnection): void {
    this.#connections.set(number, connection);
    this.#latest.set(endsOf(connection), number);
  }

  disconnected(number: number): void {
    const connection = this.#connections.get(number);
    if (!connection) return;
    this.#connections.delete(number);
    const ends = endsOf(connection);
    if (this.#latest.get(ends) === number) this.#latest.delete(ends);
  }

  /** The client's address; undefined if the connection did not come through the proxy. */
  addressOf(ends: Omit<ClientConnection, "address">): string | undefined {
    return this.#connections.get(this.#latest.get(endsOf(ends)) ?? -1)?.address;
  }
}

function endsOf({ listener, port }: Omit<ClientConnection, "address">): string {
  return `${listener} ${port}`;
}
