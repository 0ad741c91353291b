/** A port of this machine whose connections are led elsewhere. */

/** The address of everything here. */
export const HOSTNAME = "127.0.0.1";

/** Listens, and waits in the end for all that it has led. */
export class TcpFront {
  readonly port: number;
  readonly #listener: Deno.TcpListener;
  readonly #work = new Set<Promise<void>>();

  /** `lead` has a connection until it ends; port 0 is any that is free. */
  constructor(lead: (near: Deno.TcpConn) => Promise<void>, port = 0) {
    this.#listener = Deno.listen({ hostname: HOSTNAME, port });
    this.port = this.#listener.addr.port;
    this.#track(this.#accept(lead));
  }

  /** Takes no more; `endAll` ends the connections that are open. */
  async close(endAll: () => void): Promise<void> {
    this.#listener.close();
    endAll();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  async #accept(lead: (near: Deno.TcpConn) => Promise<void>): Promise<void> {
    try {
      for await (const near of this.#listener) this.#track(lead(near));
    } catch {
      // closed
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work.finally(() => this.#work.delete(tracked));
    this.#work.add(tracked);
  }
}
