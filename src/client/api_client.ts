/** The backend's side of the gateway's API: HTTPS, with its authority and a Bearer key. */

import { readText } from "../config/operator_file.ts";
import { readBoundedText } from "../http/bounded_body.ts";

/** The gateway itself waits up to ten seconds for the broker. */
const TIMEOUT_MS = 15_000;

/** Largest answer, bytes: a list of commands with the longest words of their devices is smaller. */
const ANSWER_MAX_BYTES = 16 * 1_048_576;

/** An answer of the API. */
export interface ApiAnswer {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
}

/** How a command is asked for. */
interface AskOptions {
  /** Instead of the right API key. */
  readonly key?: string;
  /** How long it may wait for its device, seconds. */
  readonly ttlSeconds?: number;
  /** Visible ASCII: the same request again is the same command. */
  readonly idempotencyKey?: string;
}

/** How long a stream lasts, and where it goes on. */
interface StreamOptions {
  readonly signal: AbortSignal;
  readonly after?: string | undefined;
}

/** Which command. */
interface CommandName {
  readonly deviceId: string;
  readonly messageId: string;
}

/** Where a gateway is, and what proves that it is the one, and we are we. */
interface ApiAddress {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string;
  /** PEM text. */
  readonly authority: string;
}

/** Talks to one gateway. */
export class ApiClient {
  /** Without a slash at its end. */
  readonly url: string;
  readonly #key: string;
  readonly #http: Deno.HttpClient;

  constructor({ url, key, authority }: ApiAddress) {
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
    const url = `https://localhost:${port}`;
    return new ApiClient({ url, key, authority: await readText(authority) });
  }

  /** Sends a command to a device. */
  command(deviceId: string, json: string, options: AskOptions = {}): Promise<ApiAnswer> {
    const { ttlSeconds, idempotencyKey, key } = options;
    return this.#ask(`/command/${encodeURIComponent(deviceId)}`, {
      method: "POST",
      headers: {
        ...this.#bearer(key),
        "content-type": "application/json",
        ...(ttlSeconds !== undefined && { ttl: String(ttlSeconds) }),
        ...(idempotencyKey !== undefined && { "idempotency-key": quoted(idempotencyKey) }),
      },
      body: json,
    });
  }

  /** The record of a command; with `etag` held until it is another one, or for `waitSeconds`. */
  commandRecord(
    name: CommandName,
    options: { readonly etag?: string; readonly waitSeconds?: number } = {},
  ): Promise<ApiAnswer> {
    const { etag, waitSeconds = 0 } = options;
    return this.#ask(pathOf(name), {
      headers: {
        ...this.#bearer(),
        ...(etag !== undefined && { "if-none-match": etag }),
        ...(waitSeconds > 0 && { prefer: `wait=${waitSeconds}` }),
      },
    }, { heldMs: 1000 * waitSeconds });
  }

  /** Asks for no more copies of a command. */
  cancelCommand(name: CommandName): Promise<ApiAnswer> {
    return this.#ask(pathOf(name), { method: "DELETE", headers: this.#bearer() });
  }

  /** GETs a path. */
  get(path: string): Promise<ApiAnswer> {
    return this.#ask(path, { headers: this.#bearer() });
  }

  /** GETs a stream of Server-Sent Events, which lasts until `signal`; `after` is the last one had. */
  stream(path: string, { signal, after }: StreamOptions): Promise<Response> {
    const headers = { ...this.#bearer(), ...(after !== undefined && { "last-event-id": after }) };
    return fetch(this.url + path, { headers, client: this.#http, signal });
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

  async #ask(path: string, init: RequestInit, { heldMs = 0 } = {}): Promise<ApiAnswer> {
    const signal = AbortSignal.timeout(TIMEOUT_MS + heldMs);
    const response = await fetch(this.url + path, { ...init, client: this.#http, signal });
    return await answerOf(response);
  }
}

/** The whole answer; throws if it is longer than any of a gateway. */
export async function answerOf(response: Response): Promise<ApiAnswer> {
  const { status, headers } = response;
  return { status, headers, text: await readBoundedText(response, ANSWER_MAX_BYTES) };
}

function pathOf({ deviceId, messageId }: CommandName): string {
  return `/command/${encodeURIComponent(deviceId)}/${messageId}`;
}

/** RFC 9110 §5.6.4. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}
