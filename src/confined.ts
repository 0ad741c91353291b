/**
 * The confined part: the gateway in a worker that may do nothing but its job.
 *
 * The rules are:
 * - it is told what to do by messages of plain values, and reads no file but the database;
 * - it listens first, behind the door, and runs when it is told to, so that it can take over;
 * - it writes its log itself, line by line, so that none is lost when it dies.
 */

import process from "node:process";
import type { Config } from "./config.ts";
import { type Credentials, StartError } from "./credentials.ts";
import { ApiServer } from "./edge/api_server.ts";
import { Callers } from "./edge/callers.ts";
import { BEHIND_THE_DOOR } from "./edge/door.ts";
import { openLog, writeToStderr } from "./edge/log.ts";
import { Store, StoreError } from "./edge/store.ts";
import { superviseGateway } from "./supervisor.ts";

/** What a gateway goes by. */
export interface Assignment {
  readonly config: Config;
  readonly credentials: Credentials;
}

/** What the confined part is told. */
export type Order =
  | { readonly kind: "listen"; readonly assignment: Assignment }
  | { readonly kind: "run" | "drain" }
  /** Who it is whose connection comes through the door, and that it has ended. */
  | { readonly kind: "came"; readonly port: number; readonly address: string }
  | { readonly kind: "gone"; readonly port: number }
  | { readonly kind: "stop"; readonly graceMs: number }
  | { readonly kind: "ping" };

/** What the confined part says; `failed` and `stopped` are its last words. */
export type Word =
  | { readonly kind: "loaded" | "ready" | "pong" }
  | { readonly kind: "stopped" }
  /** Behind the door, at this port. */
  | { readonly kind: "listening"; readonly port: number }
  | { readonly kind: "failed"; readonly message: string };

/** The worker's side of the line between the two parts. */
export interface Line {
  onmessage: ((event: MessageEvent<Order>) => void) | null;
  postMessage(word: Word): void;
}

/** Serves the line of this worker for good. */
export function serveConfined(line: Line): void {
  // Libraries look for their settings there; this part has no environment to look into.
  Object.defineProperty(process, "env", { value: {} });
  const confined = new Confined((word) => line.postMessage(word));
  line.onmessage = ({ data }) => confined.obey(data);
  line.postMessage({ kind: "loaded" });
}

class Confined {
  readonly #say: (word: Word) => void;
  readonly #stop = new AbortController();
  readonly #callers = new Callers();
  #server: ApiServer | undefined;
  #run: (() => Promise<void>) | undefined;

  constructor(say: (word: Word) => void) {
    this.#say = say;
  }

  obey(order: Order): void {
    switch (order.kind) {
      case "listen":
        return void this.#try(() => this.#listen(order.assignment));
      case "run":
        return void this.#try(() => this.#run?.());
      case "came":
        return this.#callers.came(order.port, order.address);
      case "gone":
        return this.#callers.gone(order.port);
      case "drain":
        return this.#server?.drain();
      case "stop":
        return this.#stop.abort(order.graceMs);
      case "ping":
        return this.#say({ kind: "pong" });
      default:
        return order satisfies never;
    }
  }

  #listen({ config, credentials }: Assignment): void {
    const log = openLog(config.log.level, writeToStderr);
    new Store(config.store.database).close(); // found bad now, while another may still run on it
    const server = new ApiServer({ host: BEHIND_THE_DOOR, port: 0 }, credentials.api, {
      log,
      onListen: (port) => this.#say({ kind: "listening", port }),
      addressOf: ({ port }) => this.#callers.addressOf(port),
    });
    const onReady = () => this.#say({ kind: "ready" });
    this.#server = server;
    this.#run = async () => {
      await superviseGateway(config, this.#stop.signal, { log, credentials, server, onReady });
      this.#say({ kind: "stopped" });
    };
  }

  /** What is the site's fault is said; anything else is left to end the worker. */
  async #try(work: () => void | Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof StartError || error instanceof StoreError)) throw error;
      this.#say({ kind: "failed", message: error.message });
    }
  }
}
