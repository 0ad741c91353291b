/**
 * The API's door: the listener that stays while the gateway behind it changes hands, since a
 * listener that closes resets whoever stands before it.
 *
 * The rules are:
 * - it knows nothing of TLS and HTTP: bytes go through as they come, still encrypted;
 * - a connection stays with the gateway to which it was led first;
 * - where too many are open, the oldest goes: whoever holds them open keeps nobody else out;
 * - whoever stands behind is told each caller's address, by the port that the connection has there.
 */

import { StartError } from "../config/credentials.ts";
import type { Log } from "../log/log.ts";

/** Where gateways listen behind the door. */
export const LOOPBACK = "127.0.0.1";

/** Most connections that are open at one time. */
const CONNECTIONS_MAX = 1_000;
const CHUNK_BYTES = 16_384;
const ACCEPT_AGAIN_MS = 1_000;
/** What a caller may take to go once it has its answer; a reset would take that answer away. */
const LINGER_MS = 1_000;

/** Who stands behind the door. */
export interface Upstream {
  /** Where it listens behind the door; rejects where it never will. */
  readonly port: Promise<number>;
  /** The connection that comes from `port` is led here for a caller at `address`. */
  connected(port: number, address: string): void;
  disconnected(port: number): void;
}

/** An open door. */
export class TcpProxy {
  readonly #listener: Deno.TcpListener;
  readonly #log: Log;
  readonly #most: number;
  /** Callers, oldest first. */
  readonly #callers = new Set<Deno.TcpConn>();
  #host: Upstream | undefined;
  #closed = false;

  /** Listens at once; whoever calls before `leadTo` is turned away. Throws a `StartError`. */
  constructor(
    address: { readonly host: string; readonly port: number },
    options: { readonly log: Log; readonly most?: number },
  ) {
    const { host, port } = address;
    this.#log = options.log;
    this.#most = options.most ?? CONNECTIONS_MAX;
    try {
      this.#listener = Deno.listen({ hostname: host, port });
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
    this.#acceptAll();
  }

  /** New connections go to `host` from now on. */
  switchTo(host: Upstream): void {
    this.#host = host;
  }

  /** Listens no more; the connections that are open go on. */
  close(): void {
    this.#closed = true;
    this.#listener.close();
  }

  /** Breaks off every connection. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.close();
    for (const caller of this.#callers) close(caller);
  }

  async #acceptAll(): Promise<void> {
    while (!this.#closed) {
      try {
        this.#lead(await this.#listener.accept());
      } catch (error) {
        if (this.#closed) return;
        const message = `The API cannot take a connection: ${(error as Error).message}`;
        this.#log("error", "api_failed", { message });
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_AGAIN_MS));
      }
    }
  }

  async #lead(caller: Deno.TcpConn): Promise<void> {
    this.#callers.add(caller);
    if (this.#callers.size > this.#most) close(this.#callers.keys().next().value!);
    try {
      const host = this.#host!;
      using inner = await Deno.connect({ hostname: LOOPBACK, port: await host.port });
      const { port } = inner.localAddr;
      host.connected(port, caller.remoteAddr.hostname);
      await join(caller, inner);
      host.disconnected(port);
    } catch {
      // nobody is behind the door: the caller sees the connection end
    } finally {
      this.#callers.delete(caller);
      close(caller);
    }
  }
}

/** Brings bytes both ways until both ends are done, or one breaks off. */
async function join(caller: Deno.TcpConn, inner: Deno.TcpConn): Promise<void> {
  caller.setNoDelay();
  inner.setNoDelay();
  const inwards = bring(caller, inner).catch(() => close(inner));
  await bring(inner, caller).catch(() => close(caller));
  const timer = setTimeout(() => close(caller), LINGER_MS);
  await inwards;
  clearTimeout(timer);
}

async function bring(from: Deno.TcpConn, to: Deno.TcpConn): Promise<void> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let count = await from.read(buffer); count !== null; count = await from.read(buffer)) {
    for (let at = 0; at < count;) at += await to.write(buffer.subarray(at, count));
  }
  await to.closeWrite();
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // closed already
  }
}
