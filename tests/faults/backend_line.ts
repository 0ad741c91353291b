/** The line between a gateway and its backend, which can be cut, go dead, or be answered by nobody. */

import { freePorts } from "../support/free_ports.ts";

const HOSTNAME = "127.0.0.1";

/** A port of this machine whose connections lead to another one. */
export class BackendLine {
  readonly port: number;
  /** Without a slash at its end. */
  readonly url: string;
  /** Where it leads to; set it before anybody calls. */
  target = 0;
  /** True: what comes in is taken, and goes nowhere. */
  dead = false;
  #listener: Deno.TcpListener | undefined;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();

  private constructor(port: number) {
    this.port = port;
    this.url = `http://${HOSTNAME}:${port}`;
  }

  /** Makes a line that is in order. */
  static open(): BackendLine {
    const [port] = freePorts(1);
    const line = new BackendLine(port!);
    line.listen();
    return line;
  }

  /** Takes calls again. */
  listen(): void {
    this.#listener = Deno.listen({ hostname: HOSTNAME, port: this.port });
    this.#track(this.#accept(this.#listener));
  }

  /** Refuses calls, and cuts off those that are under way. */
  refuse(): void {
    this.#listener?.close();
    this.#listener = undefined;
    this.cut();
  }

  /** Cuts off every connection; new ones are taken. */
  cut(): void {
    for (const connection of this.#open) this.#close(connection);
  }

  async close(): Promise<void> {
    this.refuse();
    await Promise.all(this.#work);
  }

  async #accept(listener: Deno.TcpListener): Promise<void> {
    try {
      for await (const near of listener) this.#track(this.#lead(near));
    } catch {
      // closed
    }
  }

  async #lead(near: Deno.TcpConn): Promise<void> {
    this.#open.add(near);
    near.setNoDelay(true);
    try {
      const far = await Deno.connect({ hostname: HOSTNAME, port: this.target });
      this.#open.add(far);
      far.setNoDelay(true);
      await Promise.all([this.#pipe(near, far), this.#pipe(far, near)]);
    } catch {
      // the backend is gone
    } finally {
      this.#close(near);
    }
  }

  /** Ends both where one ends. */
  async #pipe(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
    const chunk = new Uint8Array(65_536);
    try {
      for (let n = await from.read(chunk); n !== null; n = await from.read(chunk)) {
        if (this.dead) continue;
        for (let at = 0; at < n;) at += await to.write(chunk.subarray(at, n));
      }
    } catch {
      // cut off
    } finally {
      this.#close(from);
      this.#close(to);
    }
  }

  #close(connection: Deno.TcpConn): void {
    if (this.#open.delete(connection)) connection.close();
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }
}
