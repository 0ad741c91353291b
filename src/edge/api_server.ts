/**
 * The API's listener, which may outlive the gateway behind it.
 *
 * The rules are:
 * - a request that comes while no gateway stands behind it waits for the next one;
 * - before it goes over to another, it lets clients know that their connections end;
 * - where the system takes the listener away, it is opened again.
 */

import type { Config } from "../config.ts";
import { type Credentials, StartError } from "../credentials.ts";
import type { Api } from "./api.ts";
import type { Log } from "./log.ts";

const LISTEN_AGAIN_MS = 1_000;

/** What an API server works with. */
export interface ApiServerOptions {
  readonly log: Log;
  /** Told at once, and again where the system gives it another port. */
  readonly onListen?: (port: number) => void;
  /** The client's address where a connection is only led here; undefined: turn it away. */
  readonly addressOf?: (remote: Deno.NetAddr) => Promise<string | undefined>;
}

/** One listening API server. */
export class ApiServer {
  readonly #address: Pick<Config["api"], "host" | "port">;
  readonly #credentials: Credentials["api"];
  readonly #options: ApiServerOptions;
  readonly #abort = new AbortController();
  readonly #underWay = new Set<Promise<Response>>();
  #server: Deno.HttpServer<Deno.NetAddr>;
  #api = Promise.withResolvers<Api>();
  #draining = false;
  #closing: Promise<void> | undefined;

  /** Listens at once, at port 0 where the system likes; throws a `StartError` where it cannot. */
  constructor(
    address: Pick<Config["api"], "host" | "port">,
    credentials: Credentials["api"],
    options: ApiServerOptions,
  ) {
    this.#address = address;
    this.#credentials = credentials;
    this.#options = options;
    this.#server = this.#listen();
  }

  /** Requests go to `api` from now on, those that wait among them. */
  attach(api: Api): void {
    this.#api.resolve(api); // those that wait
    this.#api = Promise.withResolvers();
    this.#api.resolve(api);
  }

  /** Requests wait from now on for the next `attach`; resolves when all others are answered. */
  async detach(graceMs: number): Promise<void> {
    if (this.#closing) return await this.#closing;
    this.#api = Promise.withResolvers();
    await within(graceMs, Promise.allSettled([...this.#underWay]));
  }

  /** Each connection ends with its next answer from now on: none is idle when the end comes. */
  drain(): void {
    this.#draining = true;
  }

  /** Listens no more; resolves when every request is answered, or broken off after the grace. */
  shutdown(graceMs: number): Promise<void> {
    return this.#closing ??= this.#shutdown(graceMs);
  }

  async #shutdown(graceMs: number): Promise<void> {
    this.#api.resolve(unavailable); // for those that wait, where nothing stands behind it
    const hurry = setTimeout(() => this.#abort.abort(), graceMs);
    await this.#server.shutdown();
    clearTimeout(hurry);
  }

  #listen(): Deno.HttpServer<Deno.NetAddr> {
    const { host, port } = this.#address;
    try {
      const server = Deno.serve({
        hostname: host,
        port,
        cert: this.#credentials.certificate,
        key: this.#credentials.key,
        signal: this.#abort.signal,
        onListen: ({ port }) => this.#options.onListen?.(port),
        handler: (request, { remoteAddr }) => this.#answer(request, remoteAddr),
      });
      server.finished.catch((error) => this.#listenAgain(error));
      return server;
    } catch (error) {
      throw new StartError(`Cannot listen on ${host}:${port}: ${(error as Error).message}`);
    }
  }

  /** The listener has failed, as it does where the system grants no more sockets. */
  #listenAgain(error: Error): void {
    if (this.#closing) return;
    this.#options.log("error", "api_failed", {
      message: `The API stopped listening: ${error.message}`,
    });
    setTimeout(() => {
      if (this.#closing) return;
      try {
        this.#server = this.#listen();
      } catch (error) {
        this.#listenAgain(error as Error);
      }
    }, LISTEN_AGAIN_MS);
  }

  async #answer(request: Request, remote: Deno.NetAddr): Promise<Response> {
    const { addressOf } = this.#options;
    const address = addressOf ? await addressOf(remote) : remote.hostname;
    if (address === undefined) return new Response(null, { status: 403 });
    const api = await this.#api.promise;
    const answering = api(request, address);
    this.#underWay.add(answering);
    const answer = await answering.finally(() => this.#underWay.delete(answering));
    if (this.#draining) answer.headers.set("connection", "close"); // RFC 9112 §9.6
    return answer;
  }
}

function unavailable(): Promise<Response> {
  return Promise.resolve(new Response(null, { status: 503, headers: { "retry-after": "5" } }));
}

async function within(graceMs: number, work: Promise<unknown>): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, graceMs);
  await Promise.race([work, late]);
  clearTimeout(timer);
}
