/**
 * Hears what other nodes tell; what is told while the connection is away is missed.
 *
 * Each time the connection is there, the listener is told so first, and looks up what it may have
 * missed.
 */

import { setTimeout as pause } from "node:timers/promises";
import { isDeviceId } from "../../core/device.ts";
import type { NodeListener } from "../../core/ports.ts";
import type { PostgresPlace } from "../store_place.ts";
import { close, connectToPrimary } from "./primary.ts";
import { CHANNEL } from "./sql_parts.ts";

const AGAIN_MS = 500;

/** Longest name of a node, and id of a command. */
const NODE_MAX_CHARS = 40;
const MESSAGE_ID_CHARS = 36;

/** What is told, as JSON. */
type Told =
  | { readonly moved: string; readonly node: string }
  | { readonly mail: string }
  | { readonly concluded: number; readonly node: string }
  | { readonly changed: string; readonly node: string };

/** One connection that listens, made again whenever it ends. */
export class Listener {
  readonly #place: PostgresPlace;
  readonly #node: string;
  readonly #listener: NodeListener;
  readonly #stopped = new AbortController();
  readonly #work: Promise<void>;
  #timeline = 0;

  constructor(place: PostgresPlace, node: string, listener: NodeListener) {
    this.#place = place;
    this.#node = node;
    this.#listener = listener;
    this.#work = this.#run();
  }

  async close(): Promise<void> {
    this.#stopped.abort();
    await this.#work;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await this.#listen();
      } catch {
        // the store's fault, which the committer reports
      }
      await pause(AGAIN_MS, undefined, { signal }).catch(() => {});
    }
  }

  /** Resolves when the connection has ended. */
  async #listen(): Promise<void> {
    const { client, timeline } = await connectToPrimary(this.#place, {
      applicationName: `secure-iot-gateway listen ${this.#node}`.slice(0, 63),
      seenTimeline: this.#timeline,
    });
    this.#timeline = timeline;
    const ended = Promise.withResolvers<void>();
    client.on("end", () => ended.resolve());
    client.on("error", () => ended.resolve());
    client.on("notification", ({ payload }) => this.#hear(payload ?? ""));
    this.#stopped.signal.addEventListener("abort", () => ended.resolve());
    try {
      await client.query(`LISTEN ${CHANNEL}`);
      this.#listener.listening();
      if (!this.#stopped.signal.aborted) await ended.promise;
    } finally {
      await close(client);
    }
  }

  #hear(payload: string): void {
    const told = readTold(payload);
    if (told === undefined) return;
    if ("moved" in told) this.#listener.moved(told.moved, told.node);
    else if ("mail" in told) {
      if (told.mail === this.#node) this.#listener.mailCame();
    } else if ("concluded" in told) {
      if (told.node === this.#node) this.#listener.mailConcluded(told.concluded);
    } else if (told.node !== this.#node) this.#listener.commandChanged(told.changed);
  }
}

/** Anybody who may use the database may tell anything: undefined if it is not of ours. */
function readTold(payload: string): Told | undefined {
  const told = readJson(payload);
  if (typeof told !== "object" || told === null) return undefined;
  const { mail, node, moved, changed, concluded } = told as Record<string, unknown>;
  if (isNode(mail)) return { mail };
  if (!isNode(node)) return undefined;
  if (typeof moved === "string" && isDeviceId(moved)) return { moved, node };
  if (typeof changed === "string" && changed.length <= MESSAGE_ID_CHARS) return { changed, node };
  const isNumber = typeof concluded === "number" && Number.isSafeInteger(concluded);
  return isNumber ? { concluded, node } : undefined;
}

function isNode(value: unknown): value is string {
  return typeof value === "string" && value.length <= NODE_MAX_CHARS;
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
