/** Asks the page's API of a live site as a browser does, over TLS and with its cookie. */

import { readEvents, type StreamEvent } from "../../src/client/event_stream.ts";
import type { ApiKeyRole } from "../../src/store/api_keys.ts";
import type { LiveSite } from "./live_site.ts";
import { addApiKey } from "./site_store.ts";

/** Runs `work` with a browser at a site's gateway. */
export async function withPageBrowser(
  site: LiveSite,
  work: (browser: PageBrowser) => Promise<void>,
): Promise<void> {
  const browser = new PageBrowser(site);
  try {
    await work(browser);
  } finally {
    browser.close();
  }
}

/** A browser; `close` it. */
export class PageBrowser {
  readonly #site: LiveSite;
  readonly #http: Deno.HttpClient;
  #cookie = "";

  constructor(site: LiveSite) {
    this.#site = site;
    const ca = Deno.readTextFileSync(site.layout.gatewayCa.certificate);
    this.#http = Deno.createHttpClient({ caCerts: [ca] });
  }

  /** Makes a key and logs in with it. */
  async logIn(name: string, role: ApiKeyRole): Promise<void> {
    const key = await addApiKey(this.#site, name, { role });
    const response = await this.#fetch("/ui/api/session", { method: "POST", body: { key } });
    await response.body?.cancel();
    if (response.status !== 200) throw new Error(`log-in: ${response.status}`);
    this.#cookie = response.headers.get("set-cookie")!.split(";")[0]!;
  }

  /** Asks; the answer is read to its end. */
  async ask(path: string, init: { method?: string; body?: unknown } = {}): Promise<Response> {
    const response = await this.#fetch(path, init);
    const body = await response.bytes();
    return new Response([204, 304].includes(response.status) ? null : body, response);
  }

  /** The JSON of an answer. */
  async json(path: string, init: { method?: string; body?: unknown } = {}) {
    return await (await this.ask(path, init)).json();
  }

  /** Follows the events until `stop`. */
  async *events(query: string, stop: AbortSignal): AsyncGenerator<StreamEvent> {
    const response = await this.#fetch(`/ui/api/events${query}`, { signal: stop });
    if (response.status !== 200) throw new Error(`events: ${response.status}`);
    yield* readEvents(response.body!);
  }

  close(): void {
    this.#http.close();
  }

  #fetch(
    path: string,
    { method = "GET", body, signal }: { method?: string; body?: unknown; signal?: AbortSignal },
  ): Promise<Response> {
    return fetch(`https://localhost:${this.#site.config.api.port}${path}`, {
      method,
      headers: {
        "sec-fetch-site": "same-origin",
        ...(this.#cookie && { cookie: this.#cookie }),
        ...(method !== "GET" && { "content-type": "application/json" }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal && { signal }),
      client: this.#http,
    });
  }
}
