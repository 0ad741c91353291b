/** People who look at the page, as its scripts ask the gateway. */

import { setTimeout as pause } from "node:timers/promises";
import { readEvents } from "../../src/client/event_stream.ts";
import { apiKeyDigest } from "../../src/config/credentials.ts";
import { ApiKeys } from "../../src/store/sqlite/api_keys.ts";
import { Database } from "../../src/store/sqlite/database.ts";
import { poll } from "../../src/time/poll.ts";
import type { BenchSite } from "./bench_site.ts";

/** What the page asks for again, and after how many seconds; no section asks for all of it. */
const ASKED = [
  ["overview", 5],
  ["flow", 10],
  ["devices?sort=last_message&order=desc", 10],
] as const;

/** How many events a second the page follows. */
const EVENTS = "events?limit=50";

/** What all of them got. */
export interface Seen {
  answers: number;
  events: number;
  /** Answers that were none, or took longer than the page waits. */
  failed: number;
  longestMs: number;
}

/** Longest time that the page waits for an answer, milliseconds. */
const ANSWER_MAX_MS = 15_000;

/** Runs `work` while so many look: each has logged in, has seen all of it, and follows the events. */
export async function whileLooking<T>(
  site: BenchSite,
  count: number,
  work: () => Promise<T>,
): Promise<[T, Seen]> {
  const key = addViewKey(site);
  const http = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(site.layout.gatewayCa.certificate)],
  });
  const seen: Seen = { answers: 0, events: 0, failed: 0, longestMs: 0 };
  const stop = new AbortController();
  try {
    const viewers = Array.from({ length: count }, () => new Viewer(site, { http, seen }));
    await Promise.all(viewers.map((viewer) => viewer.logIn(key)));
    const looking = viewers.map((viewer) => viewer.look(stop.signal));
    await poll("each to have seen all of it", () => {
      return seen.answers + seen.failed >= count * ASKED.length;
    }, { timeoutMs: 2 * ANSWER_MAX_MS });
    const done = await work();
    stop.abort();
    await Promise.all(looking);
    return [done, seen];
  } finally {
    stop.abort();
    http.close();
  }
}

/** Adds a key that looks, as another program would; returns it. */
function addViewKey({ layout }: BenchSite): string {
  const key = crypto.randomUUID();
  const store = new Database(layout.database);
  const name = "viewer";
  new ApiKeys(store).add(apiKeyDigest(key), {
    ...{ name, createdAt: 0, role: "view", deviceIds: undefined },
  });
  store.close();
  return key;
}

class Viewer {
  readonly #root: string;
  readonly #http: Deno.HttpClient;
  readonly #seen: Seen;
  #cookie = "";

  constructor({ ports }: BenchSite, { http, seen }: { http: Deno.HttpClient; seen: Seen }) {
    this.#root = `https://localhost:${ports.api}/ui/api`;
    this.#http = http;
    this.#seen = seen;
  }

  async logIn(key: string): Promise<void> {
    const response = await fetch(`${this.#root}/session`, {
      method: "POST",
      headers: { "sec-fetch-site": "same-origin", "content-type": "application/json" },
      body: JSON.stringify({ key }),
      client: this.#http,
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`log-in: ${response.status}`);
    this.#cookie = response.headers.get("set-cookie")!.split(";")[0]!;
  }

  /** Asks and follows until it is stopped; what was asked is waited for. */
  async look(stop: AbortSignal): Promise<void> {
    const asking = ASKED.map(([path, seconds]) => this.#askAgain(path, { seconds, stop }));
    await Promise.all([...asking, this.#follow(stop)]);
  }

  async #askAgain(path: string, { seconds, stop }: { seconds: number; stop: AbortSignal }) {
    while (!stop.aborted) {
      await this.#ask(path);
      await pause(seconds * 1000, undefined, { signal: stop }).catch(() => {});
    }
  }

  async #ask(path: string): Promise<void> {
    const startMs = performance.now();
    try {
      const response = await this.#get(path, AbortSignal.timeout(ANSWER_MAX_MS));
      await response.json();
      if (!response.ok) throw new Error(`${path}: ${response.status}`);
      this.#seen.answers++;
      this.#seen.longestMs = Math.max(this.#seen.longestMs, performance.now() - startMs);
    } catch (error) {
      console.error((error as Error).message);
      this.#seen.failed++;
    }
  }

  async #follow(stop: AbortSignal): Promise<void> {
    try {
      const response = await this.#get(EVENTS, stop);
      if (!response.ok) throw new Error(`${EVENTS}: ${response.status}`);
      for await (const { id } of readEvents(response.body!)) {
        if (id !== undefined) this.#seen.events++;
      }
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  }

  #get(path: string, signal: AbortSignal): Promise<Response> {
    return fetch(`${this.#root}/${path}`, {
      headers: { cookie: this.#cookie, "sec-fetch-site": "same-origin" },
      signal,
      client: this.#http,
    });
  }
}
