/**
 * One POST to the customer's backend.
 *
 * The rules are:
 * - it is total: whatever the backend does becomes an outcome;
 * - redirects are not followed;
 * - the time-out covers the whole exchange, body included;
 * - of an answer's body at most 65,536 bytes are taken; a longer one, or one that breaks off, is
 *   left out, and only the status counts.
 */

import type { Outcome } from "../../core/delivery.ts";
import type { OutboxEntry } from "../../core/outbox_entry.ts";
import { lateSeconds } from "../../core/freshness.ts";
import type { Backend } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";
import { SharedDeadline } from "./shared_deadline.ts";

/** Largest answer that is brought back to a device, in bytes. */
const ANSWER_MAX_BYTES = 65_536;

/** Where the backend is. */
interface BackendAddress {
  /** Without a slash at its end. */
  readonly url: string;
  /** PEM text of its authority; undefined: the system's authorities. */
  readonly ca: string | undefined;
  readonly timeoutMs: number;
  /** Connections that are kept open. */
  readonly concurrency: number;
  /** A message older than this says so in X-Gateway-Late. */
  readonly toleranceSeconds: number;
}

/** The customer's backend. */
export class HttpBackend implements Backend {
  readonly #address: BackendAddress;
  readonly #clock: Clock;
  readonly #client: Deno.HttpClient;
  readonly #timeLimit: SharedDeadline;

  constructor(address: BackendAddress, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
    this.#timeLimit = new SharedDeadline(address.timeoutMs);
    this.#client = Deno.createHttpClient({
      poolMaxIdlePerHost: address.concurrency,
      // Shorter than what backends grant an idle connection, so that none is closed under a request.
      poolIdleTimeout: 4_000,
      ...(address.ca !== undefined && { caCerts: [address.ca] }),
    });
  }

  /** Sends an entry's payload; `stop` ends the request early. */
  async deliver(entry: OutboxEntry, stop: AbortSignal): Promise<Outcome> {
    const limit = this.#timeLimit.begin(stop);
    try {
      const response = await this.#fetch(entry, limit.signal);
      return {
        kind: "answer",
        status: response.status,
        body: await bodyOf(response).catch(() => undefined),
        retryAfter: response.headers.get("retry-after"),
        contentType: response.headers.get("content-type"),
        location: response.headers.get("location"),
      };
    } catch (error) {
      return { kind: "no_answer", reason: reasonOf(error) };
    } finally {
      limit.end();
    }
  }

  /** Ends every connection. */
  close(): void {
    this.#client.close();
  }

  #fetch(entry: OutboxEntry, signal: AbortSignal): Promise<Response> {
    const late = lateSeconds(
      Number(entry.timestamp),
      secondsOf(this.#clock.wallMs()),
      this.#address.toleranceSeconds,
    );
    return fetch(`${this.#address.url}/device/${entry.deviceId}/data`, {
      method: "POST",
      headers: {
        "content-type": "application/json",
        "idempotency-key": entry.messageId,
        "x-device-timestamp": entry.timestamp,
        "accept-encoding": "identity",
        ...(late !== undefined && { "x-gateway-late": String(late) }),
      },
      body: entry.payload as Uint8Array<ArrayBuffer>,
      redirect: "manual",
      client: this.#client,
      signal,
    });
  }
}

/** An answer's body, counted while it comes; undefined if it is too large. */
async function bodyOf(response: Response): Promise<Uint8Array | undefined> {
  const { headers } = response;
  const announced = Number(headers.get("content-length") ?? NaN);
  if (announced <= ANSWER_MAX_BYTES && !headers.has("content-encoding")) {
    return await response.bytes(); // the client holds the backend to what it has announced
  }
  if (response.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body) { // leaving the loop cancels the stream
    length += chunk.length;
    if (length > ANSWER_MAX_BYTES) return undefined;
    chunks.push(chunk);
  }
  if (chunks.length === 1) return chunks[0]!;
  const body = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.length;
  }
  return body;
}

/** Why a fetch failed, as far as it says: the innermost cause has the operating system's words. */
function reasonOf(error: unknown): string {
  let reason = error;
  while (reason instanceof Error && reason.cause instanceof Error) reason = reason.cause;
  return reason instanceof Error ? reason.message : String(reason);
}
