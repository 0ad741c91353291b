/** A backend that speaks HTTP/1.1 by hand, so that it can say what no server would. */

import { setTimeout as pause } from "node:timers/promises";

/** A request as it came. */
interface RawRequest {
  /** Request line and fields. */
  readonly head: string;
  readonly deviceId: string;
  /** The Idempotency-Key. */
  readonly messageId: string;
  readonly body: string;
  /** When it was complete, monotonic milliseconds. */
  readonly atMs: number;
  /** Requests under way at that moment, this one among them. */
  readonly underWay: number;
}

/** Answers one request, or does not; the connection is kept open for the next where it returns true. */
export type RawAnswer = (exchange: RawExchange) => Promise<boolean | void>;

/** One request, and the connection on which its answer goes. */
export class RawExchange {
  readonly request: RawRequest;
  /** Aborted when the backend stops. */
  readonly stop: AbortSignal;
  readonly #connection: Deno.TcpConn;

  constructor(request: RawRequest, connection: Deno.TcpConn, stop: AbortSignal) {
    this.request = request;
    this.#connection = connection;
    this.stop = stop;
  }

  /** Writes text or bytes; rejects where the gateway has hung up. */
  async write(content: string | Uint8Array): Promise<void> {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    for (let at = 0; at < bytes.length;) at += await this.#connection.write(bytes.subarray(at));
  }

  /** Writes the same over and over, until the gateway has hung up or `times` is reached. */
  async repeat(content: string | Uint8Array, times = Infinity): Promise<void> {
    for (let i = 0; i < times && !this.stop.aborted; i++) await this.write(content);
  }

  /** Writes a whole answer with its length. */
  async answer(status: number | string, body = "", fields = ""): Promise<void> {
    const length = new TextEncoder().encode(body).length;
    await this.write(`HTTP/1.1 ${status} X\r\n${fields}Content-Length: ${length}\r\n\r\n${body}`);
  }

  /** Says that nothing more comes, and leaves the connection open. */
  async closeWrite(): Promise<void> {
    await this.#connection.closeWrite();
    await this.hungUp();
  }

  /** Waits, or stops waiting when the backend stops. */
  async pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.stop }).catch(() => {});
  }

  /** Waits until the gateway hangs up. */
  async hungUp(): Promise<void> {
    while (await this.#connection.read(new Uint8Array(1_024)) !== null);
  }
}

/** How a raw backend is started. */
export interface RawBackendOptions {
  readonly port?: number;
  readonly answer?: RawAnswer;
  /**
   * True: leaves the last byte of each request unread, so that the system sends RST when the
   * connection is closed.
   */
  readonly resets?: boolean;
}

/** One running backend, on this machine only. */
export class RawBackend {
  /** Every request so far. */
  readonly requests: RawRequest[] = [];
  /** Connections so far. */
  connections = 0;
  /** May be replaced at any time. */
  answer: RawAnswer;
  readonly port: number;
  /** Without a slash at its end. */
  readonly url: string;
  readonly #listener: Deno.TcpListener;
  readonly #resets: boolean;
  readonly #open = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();
  readonly #stop = new AbortController();
  #underWay = 0;

  private constructor(options: RawBackendOptions) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: options.port ?? 0 });
    this.answer = options.answer ?? answered;
    this.#resets = options.resets ?? false;
    this.port = this.#listener.addr.port;
    this.url = `http://127.0.0.1:${this.port}`;
    this.#track(this.#accept());
  }

  /** Starts a backend, on a free port unless one is given. */
  static start(options: RawBackendOptions = {}): RawBackend {
    return new RawBackend(options);
  }

  /** Requests under way now. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Goes away at once, with every connection. */
  async stop(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#listener.close();
    for (const connection of this.#open) this.#close(connection);
    await Promise.all(this.#work);
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }

  async #accept(): Promise<void> {
    try {
      for await (const connection of this.#listener) {
        connection.setNoDelay(true);
        this.connections++;
        this.#open.add(connection);
        this.#track(this.#serve(connection));
      }
    } catch {
      // closed by `stop`
    }
  }

  async #serve(connection: Deno.TcpConn): Promise<void> {
    try {
      const reader = new RequestReader(connection, { leave: this.#resets ? 1 : 0 });
      for (let next = await reader.next(); next; next = await reader.next()) {
        if (!await this.#exchange(next, connection)) break;
      }
    } catch {
      // the gateway has hung up in the middle, or we are stopping
    } finally {
      this.#close(connection);
    }
  }

  async #exchange(
    { head, body }: { head: string; body: string },
    connection: Deno.TcpConn,
  ): Promise<boolean> {
    const underWay = ++this.#underWay;
    try {
      const deviceId = /^POST \/device\/([^/]+)\/data /.exec(head)?.[1] ?? "";
      const messageId = /^idempotency-key: (.*)$/im.exec(head)?.[1] ?? "";
      const request = { head, body, deviceId, messageId, atMs: performance.now(), underWay };
      this.requests.push(request);
      const kept = await this.answer(new RawExchange(request, connection, this.#stop.signal));
      return kept === true && !this.#resets;
    } finally {
      this.#underWay--;
    }
  }

  #close(connection: Deno.TcpConn): void {
    if (this.#open.delete(connection)) connection.close();
  }
}

async function answered(exchange: RawExchange): Promise<boolean> {
  await exchange.answer(200, "ok");
  return true;
}

/** Cuts a connection's bytes into requests. */
class RequestReader {
  readonly #connection: Deno.TcpConn;
  readonly #leave: number;
  #bytes = "";

  constructor(connection: Deno.TcpConn, options: { leave: number }) {
    this.#connection = connection;
    this.#leave = options.leave;
  }

  /** The next request; undefined where the connection ends before. */
  async next(): Promise<{ head: string; body: string } | undefined> {
    while (!this.#bytes.includes("\r\n\r\n")) if (!await this.#read()) return undefined;
    const [head] = this.#bytes.split("\r\n\r\n", 1) as [string];
    const start = head.length + 4;
    const length = Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
    const end = start + length - this.#leave;
    while (this.#bytes.length < end) if (!await this.#read()) return undefined;
    const body = this.#bytes.slice(start, end);
    this.#bytes = this.#bytes.slice(end);
    return { head, body };
  }

  /** Reads on, a byte at a time where some of them are to stay in the system's buffer. */
  async #read(): Promise<boolean> {
    const chunk = new Uint8Array(this.#leave > 0 ? 1 : 65_536);
    const count = await this.#connection.read(chunk);
    if (count === null) return false;
    this.#bytes += new TextDecoder("latin1").decode(chunk.subarray(0, count));
    return true;
  }
}
