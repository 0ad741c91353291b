/**
 * One TLS listener of the API.
 *
 * The rules are:
 * - before it ends it lets clients know: no answer is held any longer, and each connection ends with
 *   its next response;
 * - it ends when its requests are answered: a client that has sent none, or a part of one, is not
 *   waited for;
 * - everything else has its turn before each request: a client that sends one behind the other, and
 *   waits for no answer, would keep the gateway to itself;
 * - an answer does not overtake its request, within bounds;
 * - if the listener fails, it listens again.
 */

import type { Config } from "../../config/config.ts";
import { type Credentials, StartError } from "../../config/credentials.ts";
import type { Emit } from "../../core/event.ts";
import { turnOfOthers } from "../../time/turn_of_others.ts";
import { problem } from "./problem.ts";
import { lacksHost } from "./request_host.ts";
import { dropRestOfBody } from "./rest_of_body.ts";
import type { ApiHandler } from "./routes.ts";

const LISTEN_AGAIN_MS = 1_000;

/** How long the last response may take to leave. */
const LAST_RESPONSE_MS = 100;

/** Where it listens; port 0 lets the system choose. */
type ApiAddress = Pick<Config["api"], "host" | "port">;

/** What an API server works with. */
interface ApiServerOptions {
  readonly emit: Emit;
  readonly credentials: Credentials["api"];
  readonly receive: ApiHandler;
  /** Told after it had to listen again, perhaps at another port. */
  readonly onListenAgain?: (port: number) => void;
  /** The client's address behind the proxy; undefined: it did not come through it. */
  readonly addressOf: (ends: { listener: number; port: number }) => string | undefined;
}

/** One listening API server. */
export class ApiServer {
  readonly #address: ApiAddress;
  readonly #options: ApiServerOptions;
  readonly #abort = new AbortController();
  #server: Deno.HttpServer<Deno.NetAddr>;
  /** No answer is held any longer, and each connection ends with its next response. */
  readonly #drained = new AbortController();
  #closing: Promise<void> | undefined;
  /** Requests that are not answered yet. */
  #open = 0;
  /** Called when none is open. */
  #onIdle = () => {};

  /** Listens at once; throws a `StartError` if it cannot. */
  constructor(address: ApiAddress, options: ApiServerOptions) {
    this.#address = address;
    this.#options = options;
    this.#server = this.#listen();
  }

  /** Where it listens now. */
  get port(): number {
    return this.#server.addr.port;
  }

  /** Answers what is held, and ends each connection with its next response: none is idle at the end. */
  drain(): void {
    this.#drained.abort();
  }

  /** Stops listening; resolves when every request is answered, or the grace is over. */
  shutdown(graceMs: number): Promise<void> {
    return this.#closing ??= this.#shutdown(graceMs);
  }

  /** Stops listening and breaks off every request. */
  abort(): void {
    // After `shutdown` the runtime has nothing left to abort, and would throw where nobody catches.
    if (this.#closing) return;
    this.#closing = Promise.resolve();
    this.#abort.abort();
  }

  async #shutdown(graceMs: number): Promise<void> {
    this.drain();
    // The runtime waits without end for a connection that has not ended its TLS handshake.
    const ended = this.#server.shutdown();
    const late = Promise.withResolvers<void>();
    const timers = [setTimeout(late.resolve, graceMs)];
    const endIfIdle = () => {
      if (this.#open === 0) late.resolve();
    };
    this.#onIdle = () => timers.push(setTimeout(endIfIdle, LAST_RESPONSE_MS));
    if (this.#open === 0) this.#onIdle();
    await Promise.race([ended, late.promise]);
    this.#onIdle = () => {};
    for (const timer of timers) clearTimeout(timer);
  }

  #listen(): Deno.HttpServer<Deno.NetAddr> {
    const { host, port } = this.#address;
    const { certificate: cert, key } = this.#options.credentials;
    try {
      const server: Deno.HttpServer<Deno.NetAddr> = Deno.serve({
        hostname: host,
        port,
        cert,
        key,
        signal: this.#abort.signal,
        onListen: () => {},
        handler: (request, { remoteAddr }) => this.#count(request, remoteAddr, server.addr.port),
      });
      server.finished.catch((error) => this.#listenAgain(error));
      return server;
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
  }

  /** The listener has failed, for example because the system grants no more sockets. */
  #listenAgain(error: Error): void {
    if (this.#closing || this.#drained.signal.aborted) return;
    this.#options.emit({ kind: "api_failed", part: "server", reason: error.message });
    setTimeout(() => {
      if (this.#closing) return;
      try {
        this.#server = this.#listen();
        this.#options.onListenAgain?.(this.port);
      } catch (error) {
        this.#listenAgain(error as Error);
      }
    }, LISTEN_AGAIN_MS);
  }

  async #count(request: Request, remote: Deno.NetAddr, listener: number): Promise<Response> {
    this.#open++;
    try {
      await turnOfOthers();
      return await this.#answer(request, remote, listener);
    } finally {
      if (--this.#open === 0) this.#onIdle();
    }
  }

  async #answer(request: Request, remote: Deno.NetAddr, listener: number): Promise<Response> {
    const { addressOf, receive } = this.#options;
    const drained = this.#drained.signal;
    const address = addressOf({ listener, port: remote.port });
    if (address === undefined) return new Response(null, { status: 403 });
    const answer = lacksHost(request, listener)
      ? problem("bad-host")
      : await receive(request, address, drained);
    await dropRestOfBody(request, drained);
    if (drained.aborted) answer.headers.set("connection", "close"); // RFC 9112 §9.6
    return answer;
  }
}
