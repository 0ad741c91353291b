/** A client of the gateway's API that speaks HTTP by hand, so that it can say anything. */

import { connect, type TLSSocket } from "node:tls";
import { poll } from "../../src/time/poll.ts";

/** One TLS connection to the API. */
export class RawClient {
  /** All that has come back so far. */
  received = "";
  /** True once the connection is gone, from either side. */
  ended = false;
  readonly #socket: TLSSocket;
  readonly #closed: Promise<void>;

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.on("data", (chunk: Uint8Array) => this.received += new TextDecoder().decode(chunk));
    socket.on("error", () => {}); // a reset; "close" comes next
    this.#closed = new Promise((resolve) =>
      socket.on("close", () => {
        this.ended = true;
        resolve();
      })
    );
  }

  /** Opens a connection to localhost; resolves once TLS is done. */
  static async open(
    { port, ca, protocol = "http/1.1" }: { port: number; ca: string; protocol?: string },
  ): Promise<RawClient> {
    const socket = connect({ host: "localhost", port, ca, ALPNProtocols: [protocol] });
    const client = new RawClient(socket);
    const secure = new Promise<void>((resolve) => socket.on("secureConnect", () => resolve()));
    await Promise.race([secure, client.#closed]);
    return client;
  }

  /** Writes; resolves once it is sent, or the connection is gone. */
  async write(content: string | Uint8Array): Promise<void> {
    if (this.ended) return;
    const sent = new Promise<void>((resolve) => this.#socket.write(content, () => resolve()));
    await Promise.race([sent, this.#closed]);
  }

  /** Waits for the status of the answer; 0 where the connection ends without one. */
  async status(options: { timeoutMs?: number } = {}): Promise<number> {
    const line = () => /^HTTP\/1\.[01] (\d{3}) [^]*?\r\n\r\n/.exec(this.received)?.[1];
    await poll("an answer", () => line() ?? this.ended, options);
    return Number(line() ?? 0);
  }

  /** Closes it. */
  async close(): Promise<void> {
    this.#socket.destroy();
    await this.#closed;
  }
}
