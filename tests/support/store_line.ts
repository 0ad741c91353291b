/**
 * A line between a gateway and a server of its store, which can be cut, and which can take away what
 * the server answers: what was asked is done, and nobody hears.
 */

import { HOSTNAME, TcpFront } from "./tcp_front.ts";

const CHUNK_BYTES = 65_536;

/** The line. */
export class StoreLine {
  /** True: from the next question on, the answer is taken away and the connection ends. */
  eats = false;
  /** Answers that were taken away. */
  eaten = 0;
  readonly #target: number;
  readonly #front: TcpFront;
  readonly #open = new Set<Deno.TcpConn>();
  #cut: PromiseWithResolvers<void> | undefined;

  constructor(target: number) {
    this.#target = target;
    this.#front = new TcpFront((near) => this.#lead(near));
  }

  get port(): number {
    return this.#front.port;
  }

  /** Nothing passes from now on, and nobody is told. */
  cut(): void {
    this.#cut ??= Promise.withResolvers();
  }

  /** New connections pass again; those of before have ended. */
  heal(): void {
    this.#endAll();
    this.#cut?.resolve();
    this.#cut = undefined;
  }

  /** Ends every connection. */
  async close(): Promise<void> {
    await this.#front.close(() => this.heal());
  }

  async #lead(near: Deno.TcpConn): Promise<void> {
    this.#open.add(near);
    try {
      await this.#cut?.promise;
      const far = await Deno.connect({ hostname: HOSTNAME, port: this.#target });
      this.#open.add(far);
      const end = () => [near, far].forEach((one) => this.#end(one));
      let isEating = false;
      const asks = this.#pipe(near, far, () => {
        isEating ||= this.eats;
        return true;
      });
      const answers = this.#pipe(far, near, () => {
        if (isEating) {
          this.eats = false;
          this.eaten++;
        }
        return !isEating;
      });
      await Promise.all([asks.finally(end), answers.finally(end)]);
    } catch {
      // the server is not there
    } finally {
      this.#end(near);
    }
  }

  /** Passes on until one side ends, the line was cut, or `may` says no. */
  async #pipe(from: Deno.TcpConn, to: Deno.TcpConn, may: () => boolean): Promise<void> {
    const chunk = new Uint8Array(CHUNK_BYTES);
    try {
      for (let n = await from.read(chunk); n !== null; n = await from.read(chunk)) {
        await this.#cut?.promise;
        if (!may()) return;
        for (let at = 0; at < n;) at += await to.write(chunk.subarray(at, n));
      }
    } catch {
      // one of both is gone
    }
  }

  #endAll(): void {
    for (const connection of this.#open) this.#end(connection);
  }

  #end(connection: Deno.TcpConn): void {
    if (!this.#open.delete(connection)) return;
    connection.close();
  }
}
