/**
 * The confined part: the gateway in a worker that may do nothing but its job.
 *
 * The rules are:
 * - it is told what to do by messages of plain values, and reads no file but the database;
 * - it listens first and runs when it is told to, so that it can take over from another;
 * - it writes its log itself, line by line, so that none is lost when it dies.
 */

import process from "node:process";
import type { Config } from "./config.ts";
import type { Credentials } from "./credentials.ts";
import { StartError } from "./credentials.ts";
import { ApiServer } from "./edge/api_server.ts";
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
  | { readonly kind: "run" }
  | { readonly kind: "stop"; readonly graceMs: number }
  | { readonly kind: "ping" };

/** What the confined part says; `failed` and `stopped` are its last words. */
export type Word =
  | { readonly kind: "loaded" | "listening" | "ready" | "stopped" | "pong" }
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
  #run: (() => Promise<void>) | undefined;

  constructor(say: (word: Word) => void) {
    this.#say = say;
  }

  obey(order: Order): void {
    switch (order.kind) {
      case "listen":
        return void this.#try(() => this.#listen(order.assignment), "listening");
      case "run":
        return void this.#try(async () => await this.#run?.(), "stopped");
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
    const server = new ApiServer(config.api, credentials.api, { log });
    const onReady = () => this.#say({ kind: "ready" });
    const options = { log, credentials, server, onReady };
    this.#run = () => superviseGateway(config, this.#stop.signal, options);
  }

  /** Says `done` afterwards; what is no fault of the site's is left to end the worker. */
  async #try(work: () => void | Promise<void>, done: "listening" | "stopped"): Promise<void> {
    try {
      await work();
      this.#say({ kind: done });
    } catch (error) {
      if (!(error instanceof StartError || error instanceof StoreError)) throw error;
      this.#say({ kind: "failed", message: error.message });
    }
  }
}
