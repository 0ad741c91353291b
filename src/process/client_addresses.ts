/** Who calls through the door: the address of each connection, by its port behind the door. */

/** What a connection may be ahead of the word about it, milliseconds. */
const WORD_TIMEOUT_MS = 5_000;

/** The addresses of all open connections. */
export class ClientAddresses {
  readonly #addresses = new Map<number, string>();
  readonly #waiting = new Map<number, (address: string) => void>();

  connected(port: number, address: string): void {
    this.#addresses.set(port, address);
    this.#waiting.get(port)?.(address);
    this.#waiting.delete(port);
  }

  disconnected(port: number): void {
    this.#addresses.delete(port);
  }

  /** The address behind `port`; undefined where it did not come through the door. */
  async addressOf(port: number): Promise<string | undefined> {
    const known = this.#addresses.get(port);
    if (known !== undefined) return known;
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const timer = setTimeout(() => resolve(undefined), WORD_TIMEOUT_MS);
    this.#waiting.set(port, resolve);
    const address = await promise;
    clearTimeout(timer);
    if (address === undefined) this.#waiting.delete(port);
    return address;
  }
}
