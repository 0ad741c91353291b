/** The backend's side of the gateway's API: HTTPS, with its authority and a Bearer key. */

import { readText } from "../config/operator_file.ts";

const TIMEOUT_MS = 10_000;

/** An answer of the API. */
interface ApiAnswer {
  readonly status: number;
  readonly text: string;
}

/** Talks to one gateway. */
export class ApiClient {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #key: string;
  readonly #http: Deno.HttpClient;

  private constructor(url: string, key: string, authority: string) {
    this.url = url;
    this.#key = key;
    this.#http = Deno.createHttpClient({ caCerts: [authority] });
  }

  /** Reads the files that a backend is given: the API key, and the authority of the certificate. */
  static async open(
    { port, apiKey, authority }: {
      readonly port: number;
      /** Path. */
      readonly apiKey: string;
      /** Path of a PEM file. */
      readonly authority: string;
    },
  ): Promise<ApiClient> {
    const key = (await readText(apiKey)).trim();
    return new ApiClient(`https://localhost:${port}`, key, await readText(authority));
  }

  /** Sends a command to a device; `key` in place of the right one. */
  command(deviceId: string, json: string, options: { key?: string } = {}): Promise<ApiAnswer> {
    return this.#ask(`/command/${deviceId}`, {
      method: "POST",
      headers: { ...this.#bearer(options.key), "content-type": "application/json" },
      body: json,
    });
  }

  /** GETs a path. */
  get(path: string): Promise<ApiAnswer> {
    return this.#ask(path, { headers: this.#bearer() });
  }

  /** One value of the gateway's metrics, by its name with its labels. */
  async metric(name: string): Promise<number> {
    const { text } = await this.get("/metrics");
    const line = text.split("\n").find((line) => line.startsWith(`${name} `));
    return Number(line?.slice(name.length + 1));
  }

  /** Closes its connections. */
  close(): void {
    this.#http.close();
  }

  #bearer(key = this.#key): Record<string, string> {
    return { authorization: `Bearer ${key}` };
  }

  async #ask(path: string, init: RequestInit): Promise<ApiAnswer> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const response = await fetch(this.url + path, { ...init, client: this.#http, signal });
    return { status: response.status, text: await response.text() };
  }
}
