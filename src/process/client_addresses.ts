/**
 * The address of each client behind the proxy, by the local port of its connection: the job of
 * HAProxy's PROXY protocol.
 */

/** How long a connection may be ahead of the notice about it, milliseconds. */
const NOTICE_TIMEOUT_MS = 5_000;

/** The addresses of all open connections. */
export class ClientAddresses {
  readonly #timeoutMs: number;
  readonly #addresses = new Map<number, string>();
  readonly #waiting = new Map<number, (address: string) => void>();

  constructor({ timeoutMs = NOTICE_TIMEOUT_MS } = {}) {
    this.#timeoutMs = timeoutMs;
  }

  connected(port: number, address: string): void {
    this.#addresses.set(port, address);
    this.#waiting.get(port)?.(address);
    this.#waiting.delete(port);
  }

  disconnected(port: number): void {
    this.#addresses.delete(port);
  }

  /** The client's address behind `port`; undefined if it did not come through the proxy. */
  async addressOf(port: number): Promise<string | undefined> {
    const known = this.#addresses.get(port);
    if (known !== undefined) return known;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => resolve(undefined), this.#timeoutMs);
    this.#waiting.set(port, resolve);
    const address = await promise;
    clearTimeout(timer);
    if (address === undefined) this.#waiting.delete(port);
    return address;
  }
}
