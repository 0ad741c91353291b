/** A small backend: it takes readings over HTTP and remembers them. */

/** One POST as it came. */
export interface Reading {
  readonly deviceId: string;
  /** The Idempotency-Key. */
  readonly messageId: string;
  /** The X-Device-Timestamp. */
  readonly timestamp: string;
  readonly body: Uint8Array;
  /** The body as text. */
  readonly text: string;
  readonly headers: Headers;
  /** With the query. */
  readonly path: string;
  readonly method: string;
}

/** What a backend says to a reading. */
type AnswerReading = (reading: Reading) => Response | Promise<Response>;

const LOOPBACK = "127.0.0.1";

/** One running backend, on this machine only. */
export class SampleBackend {
  /** Every reading, in the order in which they were complete. */
  readonly received: Reading[] = [];
  /** May be replaced at any time. */
  answer: AnswerReading;
  readonly port: number;
  /** Without a slash at its end. */
  readonly url: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;
  readonly #stop = new AbortController();

  private constructor(port: number, answer: AnswerReading) {
    this.answer = answer;
    this.#server = Deno.serve({
      hostname: LOOPBACK,
      port,
      signal: this.#stop.signal,
      onListen: () => {},
      onError: () => new Response(null, { status: 500 }),
    }, (request) => this.#take(request));
    this.port = this.#server.addr.port;
    this.url = `http://${LOOPBACK}:${this.port}`;
  }

  /** Starts a backend, on a free port unless `port` is given. */
  static start(options: { port?: number; answer?: AnswerReading } = {}): SampleBackend {
    return new SampleBackend(options.port ?? 0, options.answer ?? received);
  }

  /** Goes away at once; a request that is under way breaks off. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#server.finished;
  }

  async #take(request: Request): Promise<Response> {
    const reading = await readingOf(request);
    this.received.push(reading);
    return await this.answer(reading);
  }
}

function received(): Response {
  return new Response('{"status":"received"}', {
    headers: { "content-type": "application/json" },
  });
}

async function readingOf(request: Request): Promise<Reading> {
  const { headers, method } = request;
  const { pathname, search } = new URL(request.url);
  const body = await request.bytes();
  return {
    deviceId: /^\/device\/([^/]+)\/data$/.exec(pathname)?.[1] ?? "",
    messageId: headers.get("idempotency-key") ?? "",
    timestamp: headers.get("x-device-timestamp") ?? "",
    body,
    text: new TextDecoder("utf-8", { ignoreBOM: true }).decode(body),
    headers,
    path: pathname + search,
    method,
  };
}
