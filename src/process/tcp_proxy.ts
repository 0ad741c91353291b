/**
 * The API's public listener, which stays while the gateway behind it is replaced: a listener that
 * closes resets the connections that wait in it.
 *
 * The rules are:
 * - it knows nothing of TLS and HTTP: bytes go through as they come, still encrypted;
 * - a connection stays with the upstream that it was given first;
 * - if too many are open, the oldest is closed: one client cannot keep the others out;
 * - a client that sends much more than a request has to wait for an answer (`request_pace.ts`);
 * - the upstream knows each client's address before it gets the first byte, and forgets it before
 *   the proxy's end of the connection is free for another.
 */

import { StartError } from "../config/credentials.ts";
import type { Emit } from "../core/event.ts";
import type { ClientConnection } from "./client_addresses.ts";
import { RequestPace } from "./request_pace.ts";

/** Where gateways listen behind the proxy. */
export const LOOPBACK = "127.0.0.1";

/** Most connections that are open at one time. */
const CONNECTIONS_MAX = 1_000;
const CHUNK_BYTES = 16_384;
const ACCEPT_RETRY_MS = 1_000;
/** How long a client may take to close after its response; a reset would destroy that response. */
const LINGER_MS = 1_000;

/** A gateway behind the proxy. */
export interface Upstream {
  /** Where it listens; rejects if it never will. */
  readonly port: Promise<number>;
  /** Resolves once it is known there whose connection it is; disposed of when that ends. */
  connected(connection: ClientConnection): Promise<Disposable>;
}

/** One listener. */
export class TcpProxy implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #emit: Emit;
  readonly #maxConnections: number;
  /** Open connections, oldest first. */
  readonly #clients = new Set<Deno.TcpConn>();
  readonly #forwards = new Set<Promise<void>>();
  #upstream: Upstream | undefined;
  #closed = false;

  /** Listens at once; closes connections that come before `switchTo`. Throws a `StartError`. */
  constructor(
    address: { readonly host: string; readonly port: number },
    options: { readonly emit: Emit; readonly maxConnections?: number },
  ) {
    const { host, port } = address;
    this.#emit = options.emit;
    this.#maxConnections = options.maxConnections ?? CONNECTIONS_MAX;
    try {
      this.#listener = Deno.listen({ hostname: host, port });
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
    this.#acceptAll();
  }

  /** New connections go to `upstream` from now on. */
  switchTo(upstream: Upstream): void {
    this.#upstream = upstream;
  }

  /** Stops listening; open connections go on. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#listener.close();
  }

  /** Stops listening and closes every connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
    for (const client of this.#clients) this.#end(client);
    await Promise.all(this.#forwards);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#closed) {
      try {
        this.#accept(await this.#listener.accept());
      } catch (error) {
        if (this.#closed) return;
        const { message: reason } = error as Error;
        this.#emit({ kind: "api_failed", part: "proxy", reason });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  #accept(client: Deno.TcpConn): void {
    const [oldest] = this.#clients;
    if (oldest && this.#clients.size >= this.#maxConnections) this.#end(oldest);
    this.#clients.add(client);
    const forward = this.#forward(client);
    this.#forwards.add(forward);
    forward.finally(() => this.#forwards.delete(forward));
  }

  /** Closes a connection, which counts no longer: in a burst each has to make room for the next. */
  #end(client: Deno.TcpConn): void {
    this.#clients.delete(client);
    close(client);
  }

  async #forward(client: Deno.TcpConn): Promise<void> {
    try {
      const upstream = this.#upstream!;
      const listener = await upstream.port;
      if (!this.#clients.has(client)) return; // closed while it waited
      using inner = await Deno.connect({ hostname: LOOPBACK, port: listener });
      const address = client.remoteAddr.hostname;
      const connection = { listener, port: inner.localAddr.port, address };
      using known = new DisposableStack();
      known.use(await upstream.connected(connection));
      await relay(client, inner, () => known.dispose());
    } catch {
      // there is no upstream: the client sees the connection end
    } finally {
      this.#end(client);
    }
  }
}

/**
 * Copies bytes both ways until both sides have ended, or one breaks off. `onEnd` is called before
 * `inner` is closed: the system gives its port to others at once.
 */
async function relay(client: Deno.TcpConn, inner: Deno.TcpConn, onEnd: () => void): Promise<void> {
  client.setNoDelay();
  inner.setNoDelay();
  const pace = new RequestPace();
  const inwards = copy(client, inner, { sent: (bytes) => pace.sent(bytes) }).catch(() => {
    onEnd();
    close(inner);
  });
  await copy(inner, client, { read: () => pace.answered(), onEnd }).catch(() => close(client));
  pace.end();
  const timer = setTimeout(() => close(client), LINGER_MS);
  await inwards;
  clearTimeout(timer);
}

/** What is told of the bytes that are copied. */
interface CopyOptions {
  /** Some were read. */
  read?(): void;
  /** So many were written; resolves when more may be read. */
  sent?(bytes: number): Promise<void>;
  /** There are no more. */
  onEnd?(): void;
}

/** Copies until `from` has ended, and then ends `to`. */
async function copy(from: Deno.TcpConn, to: Deno.TcpConn, options: CopyOptions): Promise<void> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
    options.read?.();
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
    await options.sent?.(count);
  }
  options.onEnd?.();
  await to.closeWrite();
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // closed already
  }
}
