/**
 * One POST to the customer's backend.
 *
 * The rules are:
 * - it is total: whatever the backend does becomes an outcome;
 * - redirects are not followed;
 * - the time-out covers the whole exchange, body included;
 * - of an answer's body at most 65,536 bytes are taken, whatever it announces, in one buffer; a longer
 *   one, or one that breaks off, is left out, and only the status counts;
 * - an answer with two lengths is none;
 * - of the answer to a batch as much is taken as `batchAnswerMaxBytes` says; one that is longer or
 *   breaks off is not as agreed, since it may be the other items' word that is missing.
 */

import { readBatchAnswer } from "../../core/batch_answer.ts";
import type { Answer, Outcome } from "../../core/delivery.ts";
import {
  batchBody,
  batchKey,
  type BatchLimits,
  type BatchOutcome,
  itemKey,
} from "../../core/delivery_batch.ts";
import { idempotencyKey, isCallback, type OutboxEntry } from "../../core/outbox_entry.ts";
import { lateSeconds } from "../../core/freshness.ts";
import type { Backend } from "../../core/ports.ts";
import { secondsOf } from "../../core/time.ts";
import type { Clock } from "../../time/clock.ts";
import { readBoundedBody } from "../../http/bounded_body.ts";
import { Endpoint } from "../../core/endpoint.ts";
import type { ClockWatch } from "./clock_watch.ts";
import { SharedDeadline } from "./shared_deadline.ts";
import { faultText } from "../../core/fault_text.ts";
import { PARENT_ID_BYTES, traceparentOf } from "../../core/traceparent.ts";
import { WebhookSigner } from "../../core/webhook_signature.ts";

/** Largest answer that is brought back to a device, in bytes. */
const ANSWER_MAX_BYTES = 65_536;

/** Bodies that the items of one answer may have, in bytes. */
const BATCH_BODIES_MAX_BYTES = 16 * ANSWER_MAX_BYTES;
/** What each item may have beside. */
const BATCH_ITEM_MAX_BYTES = 1024;

const JSON_FIELDS = { "content-type": "application/json", "accept-encoding": "identity" } as const;

/** Where the backend is, and who the gateway is to it. */
interface BackendAddress {
  readonly url: string;
  /** Appended to the URL; see `Endpoint`. */
  readonly path: string;
  /** Appended to the URL for a command's state; undefined: there are no callbacks. */
  readonly callbackPath: string | undefined;
  /** PEM text of its authority; undefined: the system's authorities. */
  readonly ca: string | undefined;
  /** Fields of each request, such as a token. */
  readonly fields: readonly (readonly [name: string, value: string])[];
  /** The client certificate, as PEM text; undefined if there is none. */
  readonly pair: { readonly certificate: string; readonly key: string } | undefined;
  /** Bytes of the keys that sign each request; empty if none does. */
  readonly signingKeys: readonly Uint8Array[];
  /** URL of an HTTP proxy; undefined if there is none. */
  readonly proxy: string | undefined;
  readonly timeoutMs: number;
  /** Connections that are kept open. */
  readonly concurrency: number;
  /** `path` is appended to the URL for a batch; undefined: there are none. */
  readonly batch: (BatchLimits & { readonly path: string }) | undefined;
  /** A message older than this says so in X-Gateway-Late. */
  readonly toleranceSeconds: number;
  /** Each message's own `traceparent` goes with it. */
  readonly hasTraceparent: boolean;
}

/** One POST, before the fields that all of them have. */
interface PostRequest {
  readonly url: string;
  readonly fields: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** The customer's backend. */
export class HttpBackend implements Backend {
  readonly #address: BackendAddress;
  readonly #clock: Clock;
  readonly #client: Deno.HttpClient;
  readonly #endpoint: Endpoint;
  readonly #callbackEndpoint: Endpoint;
  readonly #batchUrl: string;
  readonly #fields: Readonly<Record<string, string>>;
  readonly #signer: WebhookSigner | undefined;
  readonly #timeLimit: SharedDeadline;
  readonly #clockWatch: ClockWatch | undefined;

  constructor(address: BackendAddress, clock: Clock, options: { clockWatch?: ClockWatch } = {}) {
    this.#clockWatch = options.clockWatch;
    this.#address = address;
    this.#clock = clock;
    this.#timeLimit = new SharedDeadline(address.timeoutMs);
    this.#endpoint = new Endpoint(address.url, address.path);
    this.#callbackEndpoint = new Endpoint(address.url, address.callbackPath ?? "");
    const batchEndpoint = new Endpoint(address.url, address.batch?.path ?? "");
    this.#batchUrl = batchEndpoint.of({ deviceId: "", messageId: "" });
    this.#fields = { ...Object.fromEntries(address.fields), ...JSON_FIELDS };
    if (address.signingKeys.length > 0) this.#signer = new WebhookSigner(address.signingKeys);
    const { pair } = address;
    this.#client = Deno.createHttpClient({
      poolMaxIdlePerHost: address.concurrency,
      // Shorter than what backends grant an idle connection, so that none is closed under a request.
      poolIdleTimeout: 4_000,
      ...(address.ca !== undefined && { caCerts: [address.ca] }),
      ...(pair && { cert: pair.certificate, key: pair.key }),
      ...(address.proxy !== undefined && { proxy: { url: address.proxy } }),
    });
  }

  /** Sends an entry's payload; `stop` ends the request early. */
  async deliver(entry: OutboxEntry, stop: AbortSignal): Promise<Outcome> {
    const requestOf = () => isCallback(entry) ? this.#callbackOf(entry) : this.#readingOf(entry);
    return await this.#exchange(requestOf, ANSWER_MAX_BYTES, stop);
  }

  /** Sends entries in one request; `stop` ends it early. */
  async deliverBatch(entries: readonly OutboxEntry[], stop: AbortSignal): Promise<BatchOutcome> {
    const maxBytes = batchAnswerMaxBytes(entries.length);
    const outcome = await this.#exchange(() => this.#batchOf(entries), maxBytes, stop);
    if (outcome.kind === "no_answer" || outcome.status < 200 || outcome.status > 299) {
      return { kind: "whole", outcome };
    }
    return itemsOf(outcome, entries);
  }

  async #exchange(
    requestOf: () => Promise<PostRequest>,
    answerMaxBytes: number,
    stop: AbortSignal,
  ): Promise<Outcome> {
    const limit = this.#timeLimit.begin(stop);
    try {
      const { url, fields, body } = await requestOf();
      const beganMs = this.#clock.monotonicMs();
      const response = await fetch(url, {
        method: "POST",
        headers: { ...this.#fields, ...fields },
        body: body as Uint8Array<ArrayBuffer>,
        redirect: "manual",
        client: this.#client,
        signal: limit.signal,
      });
      this.#clockWatch?.heard(response.headers.get("date"), beganMs);
      if (hasTwoLengths(response.headers)) {
        await response.body?.cancel();
        return { kind: "no_answer", reason: "the answer has Content-Length and Transfer-Encoding" };
      }
      return {
        kind: "answer",
        status: response.status,
        body: await bodyOf(response, answerMaxBytes),
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

  async #readingOf(entry: OutboxEntry): Promise<PostRequest> {
    const nowSeconds = secondsOf(this.#clock.wallMs());
    const { toleranceSeconds } = this.#address;
    const late = lateSeconds(Number(entry.timestamp), nowSeconds, toleranceSeconds);
    return {
      url: this.#endpoint.of(entry),
      fields: {
        "idempotency-key": entry.messageId,
        "x-device-timestamp": entry.timestamp,
        ...(late !== undefined && { "x-gateway-late": String(late) }),
        ...this.#traceOf(entry),
        ...(this.#signer && await this.#signer.headers(entry, nowSeconds)),
      },
      body: entry.payload,
    };
  }

  /** The record says all: no field of a reading belongs to it. */
  async #callbackOf(entry: OutboxEntry): Promise<PostRequest> {
    const nowSeconds = secondsOf(this.#clock.wallMs());
    return {
      url: this.#callbackEndpoint.of(entry),
      fields: {
        "idempotency-key": idempotencyKey(entry),
        ...this.#traceOf(entry),
        ...(this.#signer && await this.#signer.headers(entry, nowSeconds)),
      },
      body: entry.payload,
    };
  }

  async #batchOf(entries: readonly OutboxEntry[]): Promise<PostRequest> {
    const nowSeconds = secondsOf(this.#clock.wallMs());
    const { toleranceSeconds, hasTraceparent } = this.#address;
    const traceparent = hasTraceparent ? newTraceparent : undefined;
    const body = batchBody(entries, { nowSeconds, toleranceSeconds, traceparent });
    const id = await batchKey(entries);
    return {
      url: this.#batchUrl,
      fields: {
        "idempotency-key": id,
        ...(this.#signer && await this.#signer.headersOf({ id, body }, nowSeconds)),
      },
      body,
    };
  }

  #traceOf(entry: OutboxEntry): { traceparent: string } | undefined {
    return this.#address.hasTraceparent ? { traceparent: newTraceparent(entry) } : undefined;
  }
}

/** The `traceparent` of one try. */
function newTraceparent({ messageId }: Pick<OutboxEntry, "messageId">): string {
  return traceparentOf(messageId, crypto.getRandomValues(new Uint8Array(PARENT_ID_BYTES)));
}

/** Most bytes of the answer to a batch: the body of each item, 1 MiB of bodies, 1 KiB more an item. */
function batchAnswerMaxBytes(count: number): number {
  return Math.min(count * ANSWER_MAX_BYTES, BATCH_BODIES_MAX_BYTES) + count * BATCH_ITEM_MAX_BYTES;
}

/** What a 2xx answer says of each entry. */
function itemsOf(answer: Answer, entries: readonly OutboxEntry[]): BatchOutcome {
  if (answer.body === undefined) {
    const most = batchAnswerMaxBytes(entries.length);
    return { kind: "invalid", answer, reason: `longer than ${most} bytes, or it broke off` };
  }
  const read = readBatchAnswer(answer.body, new Set(entries.map(itemKey)));
  if (read.kind === "fault") return { kind: "invalid", answer, reason: read.reason };
  const outcomes = entries.map((entry): Outcome => {
    if (read.kind === "none") return { ...answer, body: new Uint8Array() };
    const item = read.items.get(itemKey(entry));
    return item === undefined
      ? { kind: "no_answer", reason: "the answer to the batch does not name it" }
      : { ...answer, ...item, contentType: "application/json" };
  });
  return { kind: "items", answer: { ...answer, body: undefined }, outcomes };
}

/** An answer's body; undefined if it is too large or breaks off. */
function bodyOf({ body, headers }: Response, maxBytes: number) {
  return readBoundedBody(body, { maxBytes, headers }).catch(() => undefined);
}

/** Two lengths: a program in between may go by the other one (RFC 9112 §6.3). */
function hasTwoLengths(headers: Headers): boolean {
  return headers.has("content-length") && headers.has("transfer-encoding");
}

/** Why a fetch failed; a URL's query may have a key in it. */
function reasonOf(error: unknown): string {
  return faultText(error).replaceAll(/\?[^\s)]*/g, "?…");
}
