/**
 * The API's listener, which may outlive the gateway behind it.
 *
 * The rules are:
 * - a request that comes while no gateway stands behind it waits for the next one;
 * - its port can be shared, so that the next listener stands before this one goes;
 * - where the system takes the listener away, it is opened again.
 */

import type { Config } from "../config.ts";
import { type Credentials, StartError } from "../credentials.ts";
import type { Api } from "./api.ts";
import type { Log } from "./log.ts";

const LISTEN_AGAIN_MS = 1_000;

/** One listening API server. */
export class ApiServer {
  readonly #address: Config["api"];
  readonly #credentials: Credentials["api"];
  readonly #log: Log;
  readonly #abort = new AbortController();
  readonly #underWay = new Set<Promise<Response>>();
  #server: Deno.HttpServer<Deno.NetAddr>;
  #api = Promise.withResolvers<Api>();
  #closing: Promise<void> | undefined;

  /** Listens at once; throws a `StartError` where it cannot. */
  constructor(address: Config["api"], credentials: Credentials["api"], options: { log: Log }) {
    this.#address = address;
    this.#credentials = credentials;
    this.#log = options.log;
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
        reusePort: true,
        cert: this.#credentials.certificate,
        key: this.#credentials.key,
        signal: this.#abort.signal,
        onListen: () => {},
        handler: (request, { remoteAddr }) => this.#answer(request, remoteAddr.hostname),
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
    this.#log("error", "api_failed", { message: `The API stopped listening: ${error.message}` });
    setTimeout(() => {
      if (this.#closing) return;
      try {
        this.#server = this.#listen();
      } catch (error) {
        this.#listenAgain(error as Error);
      }
    }, LISTEN_AGAIN_MS);
  }

  async #answer(request: Request, address: string): Promise<Response> {
    const api = await this.#api.promise;
    const answer = api(request, address);
    this.#underWay.add(answer);
    return await answer.finally(() => this.#underWay.delete(answer));
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
