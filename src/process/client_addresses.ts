/**
 * The address of each client behind the proxy, by the local port of its connection: the job of
 * HAProxy's PROXY protocol. The proxy forwards nothing of a connection before its address is here.
 */

/** The addresses of all open connections. */
export class ClientAddresses {
  readonly #addresses = new Map<number, string>();

  connected(port: number, address: string): void {
    this.#addresses.set(port, address);
  }

  disconnected(port: number): void {
    this.#addresses.delete(port);
  }

  /** The client's address behind `port`; undefined if it did not come through the proxy. */
  addressOf(port: number): string | undefined {
    return this.#addresses.get(port);
  }
}
